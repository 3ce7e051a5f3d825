//! How clusters live and end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use provision::{Event, Names, Phase, PortMapping};
use sys::process::Identity;

use crate::world::{World, ask, ask_at, wait_until};

pub(crate) fn ports_and_the_registry_are_served(world: &World) {
    let layout = world.folder.parent().unwrap().join("layout");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let mut plan = world.plan("demo", 1, 1, 0);
    plan.options.registry = Some(layout);
    plan.options.ports = vec![PortMapping::parse("18080:50000", "10.250.1.1".parse().unwrap()).unwrap()];
    let cluster = world.create(plan);
    assert_eq!(cluster.gateway_status.unwrap().phase, Phase::Running);
    assert_eq!(
        ask_at("10.250.1.1:18080".parse().unwrap(), "host").unwrap(),
        "demo-controlplane-1"
    );
    let mut registry = TcpStream::connect("10.250.1.1:5000").unwrap();
    registry
        .write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    registry.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut second = world.plan("taken", 2, 1, 0);
    second.options.ports = vec![PortMapping::parse("18080:1", "10.250.1.1".parse().unwrap()).unwrap()];
    let error = world
        .block_on(provision::create(second, &|_| ()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expose port 10.250.1.1:18080") && error.contains("in use"),
        "{error}"
    );
    world.destroy("taken");
    world.destroy("demo");
}

pub(crate) fn two_clusters_live_side_by_side(world: &World) {
    world.create(world.plan("one", 1, 1, 0));
    let error = world
        .block_on(provision::create(world.plan("clash", 1, 1, 0), &|_| ()))
        .unwrap_err();
    assert!(error.to_string().contains("of the cluster \"one\""), "{error}");
    world.nothing_is_left("clash");
    let two = world.create(world.plan("two", 2, 1, 0));
    assert_eq!(ask(two.nodes[0].address, "host"), "two-controlplane-1");
    assert_eq!(provision::list(&world.folder), ["one", "two"]);
    world.destroy("one");
    assert_eq!(
        ask(two.nodes[0].address, "host"),
        "two-controlplane-1",
        "the other one is untouched"
    );
    world.destroy("two");
}

pub(crate) fn a_killed_supervisor_takes_its_node_with_it(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 1));
    let status = &cluster.nodes[0].status;
    let init = Identity::of(status.init.unwrap()).unwrap();
    assert!(
        Identity::of(status.supervisor.unwrap())
            .unwrap()
            .signal(libc::SIGKILL)
            .unwrap()
    );
    wait_until("the end of the node", || !init.is_running());
    wait_until("the news", || world.show("demo").nodes[0].status.phase == Phase::Failed);
    assert_eq!(world.show("demo").nodes[1].status.phase, Phase::Running);
    world.destroy("demo");
}

pub(crate) fn a_creation_killed_at_any_moment_is_cleaned_up(world: &World) {
    let names = Names::of(&world.folder, "killed");
    for milliseconds in [0, 2, 5, 10, 20, 30, 45, 60, 80, 100, 130, 170, 220, 300] {
        let mut child = std::process::Command::new("/proc/self/exe")
            .args(["create-in".as_ref(), world.folder.as_os_str(), world.image.as_os_str()])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the beginning", || names.folder().exists() || child.id() == 0);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
        world.destroy("killed");
    }
}

pub(crate) fn an_orderly_stop_asks_the_node_first(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let supervisor = Identity::of(cluster.nodes[0].status.supervisor.unwrap()).unwrap();
    assert!(supervisor.signal(libc::SIGTERM).unwrap());
    assert!(supervisor.wait_ended(Duration::from_secs(20)).unwrap());
    let status = &world.show("demo").nodes[0].status;
    assert_eq!((status.phase, status.init), (Phase::Stopped, None));
    let folder = Names::of(&world.folder, "demo").node_folder("demo-controlplane-1");
    assert_eq!(std::fs::read_to_string(folder.join("var/stopped")).unwrap(), "in order");
    world.destroy("demo");
}

pub(crate) fn a_node_that_cannot_start_says_why(world: &World) {
    let fails = |name: &str, init: &[&str], parts: &[&str]| {
        let mut plan = world.plan(name, 3, 1, 0);
        plan.options.init = init.iter().map(|word| (*word).to_owned()).collect();
        let since = Instant::now();
        let error = world
            .block_on(provision::create(plan, &|_| ()))
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(since.elapsed() < Duration::from_secs(20));
        world.destroy(name);
    };
    fails(
        "absent",
        &["/sbin/absent"],
        &[
            "absent-controlplane-1 did not start",
            "execute /sbin/absent",
            "No such file",
        ],
    );
    fails(
        "failing",
        &["/sbin/init", "fail"],
        &["failing-controlplane-1 did not start", "exit code 3", "no such luck"],
    );
    std::fs::remove_dir_all(world.image.join("opt")).unwrap();
    let error = world
        .block_on(provision::create(world.plan("incomplete", 3, 1, 0), &|_| ()))
        .unwrap_err();
    assert!(error.to_string().contains("has no /opt"), "{error}");
    world.nothing_is_left("incomplete");
}

pub(crate) fn a_squashfs_image_is_mounted_for_the_node_only(world: &World) {
    let Some(mksquashfs) = ["/usr/bin/mksquashfs", "/usr/sbin/mksquashfs"]
        .iter()
        .find(|path| Path::new(path).exists())
    else {
        println!("skipped: mksquashfs is not installed (apt-get install squashfs-tools)");
        return;
    };
    let image = world.image.with_extension("sqsh");
    let made = std::process::Command::new(mksquashfs)
        .args([world.image.as_os_str(), image.as_os_str()])
        .args(["-quiet", "-no-progress", "-comp", "gzip", "-Xcompression-level", "1"])
        .status()
        .unwrap();
    assert!(made.success());
    let loops = || {
        let list = std::fs::read_dir("/sys/block").unwrap().flatten();
        let files = list.filter_map(|entry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok());
        files.filter(|file| file.trim() == image.display().to_string()).count()
    };
    let mut plan = world.plan("demo", 1, 1, 1);
    plan.options.provider = provision::Provider::Native { image: image.clone() };
    let seen = std::sync::Mutex::new(Vec::new());
    let cluster = world
        .block_on(provision::create(plan, &|event| seen.lock().unwrap().push(event)))
        .unwrap();
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, Event::Step(text) if text.contains("2 nodes")))
    );
    assert_eq!(
        ask(cluster.nodes[0].address, "read /opt/cni/bin/bridge"),
        "of the image"
    );
    assert_eq!(ask(cluster.nodes[1].address, "host"), "demo-worker-1");
    assert_eq!(loops(), 1, "both nodes share the device");
    let folder = cluster.folder.display().to_string();
    assert!(
        !sys::mount::list()
            .unwrap()
            .iter()
            .any(|mount| mount.target.display().to_string().contains(&folder))
    );
    world.destroy("demo");
    wait_until("the end of the loop device", || loops() == 0);
}

pub(crate) fn without_root_it_says_what_is_needed(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(world.folder.parent().unwrap(), everybody.clone()).unwrap();
    std::fs::set_permissions(&world.folder, everybody).unwrap();
    let program = world.image.join("sbin/init").display().to_string();
    let spec = sys::sandbox::SandboxSpec {
        argv: vec![
            program,
            "create-in".into(),
            world.folder.display().to_string(),
            world.image.display().to_string(),
        ],
        user: Some(sys::sandbox::User {
            uid: 65534,
            gid: 65534,
            groups: vec![],
        }),
        stderr: sys::sandbox::Output::Pipe,
        ..Default::default()
    };
    let mut child = sys::sandbox::spawn_blocking(&spec).unwrap();
    let mut text = String::new();
    std::fs::File::from(child.stderr.take().unwrap())
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("this needs root") && text.contains("use sudo"), "{text}");
    world.nothing_is_left("killed");
}
