//! Build the new root and move into it.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::MountFlags;

use super::resolve::{Missing, RootHandle, path_of};
use super::{Mount, Root, SandboxSpec};
use crate::mount::{self, Propagation, Tree};
use crate::{Context, Error, Result};

pub(super) fn enter(spec: &SandboxSpec) -> Result<()> {
    if !spec.namespaces.mount {
        let asks = !spec.mounts.is_empty() || !spec.masked_paths.is_empty() || spec.root != Root::Current;
        if asks {
            return Err(Error::new(
                "set up the file system",
                "mounts and roots need a mount namespace (namespaces.mount)",
            ));
        }
        return Ok(());
    }
    // Copied while they are still what they are on the host: a bind that shall be shared stays a peer of its source.
    let binds = spec.mounts.iter().map(copy_source).collect::<Result<Vec<_>>>()?;
    mount::set_propagation("/", Propagation::Slave, true)?;
    let path = &mount_root(&spec.root)?;
    let root = RootHandle::open(path)?;
    for (mount, tree) in spec.mounts.iter().zip(binds) {
        apply(&root, mount, tree)?;
    }
    spec.masked_paths.iter().try_for_each(|path| mask(&root, path))?;
    spec.read_only_paths.iter().try_for_each(|path| freeze(&root, path))?;
    if let Root::Directory { read_only: true, path } = &spec.root {
        mount::set_read_only(path, false)?;
    }
    drop(root);
    if spec.root != Root::Current {
        pivot(path)?;
    }
    if let Some(propagation) = spec.root_propagation {
        mount::set_propagation("/", propagation, true)?;
    }
    Ok(())
}

fn copy_source(mount: &Mount) -> Result<Option<Tree>> {
    let Mount::Bind {
        source,
        recursive,
        read_only,
        propagation,
        ..
    } = mount
    else {
        return Ok(None);
    };
    let tree = Tree::open(source, *recursive)?;
    if *read_only {
        tree.set_read_only(*recursive)?;
    }
    tree.set_propagation(propagation.unwrap_or(Propagation::Slave), *recursive)?;
    Ok(Some(tree))
}

fn mount_root(root: &Root) -> Result<PathBuf> {
    match root {
        Root::Current => Ok(PathBuf::from("/")),
        Root::Directory { path, .. } => {
            let tree = Tree::open(path, true)?;
            tree.set_propagation(Propagation::Private, true)?;
            tree.attach(path)?;
            Ok(path.clone())
        }
        Root::Scratch {
            lower,
            mountpoint,
            size,
        } => scratch(lower, mountpoint, *size),
        Root::Squashfs { image, mountpoint } => {
            mount::squashfs(image, mountpoint)?;
            mount::set_propagation(mountpoint, Propagation::Private, false)?;
            Ok(mountpoint.clone())
        }
    }
}

/// A layer in memory over a folder. The mounts belong to this namespace alone, so nothing has to be cleared away.
fn scratch(lower: &Path, mountpoint: &Path, size: u64) -> Result<PathBuf> {
    mount::tmpfs(mountpoint, Some(&size.to_string()), 0o700)?;
    mount::set_propagation(mountpoint, Propagation::Private, false)?;
    let [upper, work, root] = ["upper", "work", "root"].map(|name| mountpoint.join(name));
    for folder in [&upper, &work, &root] {
        std::fs::create_dir(folder).doing(|| format!("make {}", folder.display()))?;
    }
    mount::overlay(&root, &[lower.to_path_buf()], &upper, &work)?;
    mount::set_propagation(&root, Propagation::Private, false)?;
    Ok(root)
}

fn apply(root: &RootHandle, mount: &Mount, tree: Option<Tree>) -> Result<()> {
    let on = |target: &Path, call: &dyn Fn(&Path) -> Result<()>| {
        let handle = root.locate(target, Missing::Folder)?;
        // The path of the descriptor says nothing to a person: put the target's name in its place.
        call(&path_of(handle.as_fd())).map_err(|error| Error {
            action: error.action.replace(
                &path_of(handle.as_fd()).display().to_string(),
                &target.display().to_string(),
            ),
            source: error.source,
        })
    };
    match mount {
        Mount::Bind { source, target, .. } => {
            let tree =
                tree.ok_or_else(|| Error::new(format!("bind {}", source.display()), "the source was not opened"))?;
            let folder = std::fs::metadata(source).map(|data| data.is_dir()).unwrap_or(true);
            let handle = root.locate(target, if folder { Missing::Folder } else { Missing::File })?;
            tree.attach(&path_of(handle.as_fd())).map_err(|error| Error {
                action: format!("bind {} on {}", source.display(), target.display()),
                source: error.source,
            })
        }
        Mount::Tmpfs { target, size, mode } => on(target, &|path| mount::tmpfs(path, size.as_deref(), *mode)),
        Mount::DeviceTmpfs { target } => on(target, &|path| mount::device_tmpfs(path)),
        Mount::Overlay {
            target,
            lower,
            upper,
            work,
        } => on(target, &|path| mount::overlay(path, lower, upper, work)),
        Mount::Proc { target } => on(target, &|path| mount::proc(path)),
        Mount::Sysfs { target, read_only } => on(target, &|path| mount::sysfs(path, *read_only)),
        Mount::Devpts { target } => on(target, &|path| mount::devpts(path)),
        Mount::Mqueue { target } => on(target, &|path| mount::mqueue(path)),
        Mount::Cgroups { target, read_only } => control_groups(root, target, *read_only),
        Mount::Propagate {
            target,
            propagation,
            recursive,
        } => on(target, &|path| mount::set_propagation(path, *propagation, *recursive)),
        Mount::Directory { path, mode } => {
            let handle = root.locate(path, Missing::Folder)?;
            rustix::fs::chmod(path_of(handle.as_fd()), Mode::from_raw_mode(*mode))
                .doing(|| format!("set the mode of {}", path.display()))
        }
        Mount::Symlink { path, to } => {
            let (parent, name) = root.parent(path)?;
            rustix::fs::symlinkat(to, &parent, &name).doing(|| format!("make the link {}", path.display()))
        }
        Mount::Device {
            path,
            major,
            minor,
            mode,
        } => {
            let (parent, name) = root.parent(path)?;
            let device = rustix::fs::makedev(*major, *minor);
            let mode = Mode::from_raw_mode(*mode);
            rustix::fs::mknodat(&parent, &name, FileType::CharacterDevice, mode, device)
                .and_then(|()| rustix::fs::chmodat(&parent, &name, mode, rustix::fs::AtFlags::empty()))
                .doing(|| format!("make the device {}", path.display()))
        }
        Mount::File { path, content, mode } => {
            let (parent, name) = root.parent(path)?;
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(&parent, &name, flags, Mode::from_raw_mode(*mode));
            let file = file.doing(|| format!("make the file {}", path.display()))?;
            std::io::Write::write_all(&mut std::fs::File::from(file), content.as_bytes())
                .doing(|| format!("write the file {}", path.display()))
        }
    }
}

/// What the kernel's `/proc/self/cgroup` lists is what the host has: a v1 hierarchy per line, or the one of v2.
fn control_groups(root: &RootHandle, target: &Path, read_only: bool) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/cgroup").doing(|| "read /proc/self/cgroup")?;
    let hierarchies = crate::cgroup::hierarchies_of(&text);
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let handle = root.locate(target, Missing::Folder)?;
    let place = path_of(handle.as_fd());
    if hierarchies.is_empty() {
        mount::file_system("cgroup2", "cgroup2", &place, flags, "")?;
        return if read_only {
            mount::set_read_only(&place, false)
        } else {
            Ok(())
        };
    }
    mount::tmpfs(&place, None, 0o755)?;
    drop(handle);
    for hierarchy in hierarchies {
        let folder = target.join(hierarchy.trim_start_matches("name="));
        let handle = root.locate(&folder, Missing::Folder)?;
        let place = path_of(handle.as_fd());
        // A hierarchy known by a name only has no controller of its own.
        let options = if hierarchy.starts_with("name=") {
            format!("none,{hierarchy}")
        } else {
            hierarchy.clone()
        };
        mount::file_system("cgroup", "cgroup", &place, flags, &options).map_err(|error| Error {
            action: format!("mount cgroup ({hierarchy}) on {}", folder.display()),
            ..error
        })?;
        drop(handle);
        if read_only {
            let mounted = root.locate(&folder, Missing::Nothing)?;
            mount::set_read_only(path_of(mounted.as_fd()), false)?;
        }
        // Programs look for one controller by its own name where several share a hierarchy.
        for alias in hierarchy.split(',').filter(|alias| *alias != hierarchy) {
            let (parent, name) = root.parent(&target.join(alias))?;
            rustix::fs::symlinkat(&hierarchy, &parent, &name).doing(|| format!("link the controller {alias}"))?;
        }
    }
    let mounted = root.locate(target, Missing::Nothing)?;
    if read_only {
        mount::set_read_only(path_of(mounted.as_fd()), false)
    } else {
        Ok(())
    }
}

fn pivot(path: &Path) -> Result<()> {
    let doing = || format!("make {} the root", path.display());
    rustix::process::chdir(path).doing(doing)?;
    match rustix::process::pivot_root(".", ".") {
        // The old root lies on top of the new one at "."; take it away.
        Ok(()) => mount::detach(".")?,
        // The root is the initial ramfs, which cannot be pivoted away from (pivot_root(2)): cover it.
        Err(rustix::io::Errno::INVAL) => {
            rustix::mount::mount_move(".", "/").doing(doing)?;
            rustix::process::chroot(".").doing(doing)?;
        }
        Err(error) => return Err(error).doing(doing),
    }
    rustix::process::chdir("/").doing(doing)
}

/// Hides a path that is there.
fn mask(root: &RootHandle, path: &Path) -> Result<()> {
    let Ok(handle) = root.locate(path, Missing::Nothing) else {
        return Ok(());
    };
    let place = path_of(handle.as_fd());
    let folder = std::fs::metadata(&place).is_ok_and(|metadata| metadata.is_dir());
    let hidden = if folder {
        mount::file_system("tmpfs", "tmpfs", &place, MountFlags::RDONLY, "size=0,mode=0555")
    } else {
        mount::bind("/dev/null", &place, false, false)
    };
    hidden.map_err(|error| Error {
        action: format!("hide {}", path.display()),
        ..error
    })
}

/// Makes a path that is there read-only.
fn freeze(root: &RootHandle, path: &Path) -> Result<()> {
    let Ok(handle) = root.locate(path, Missing::Nothing) else {
        return Ok(());
    };
    let place = path_of(handle.as_fd());
    mount::bind(&place, &place, true, true).map_err(|error| Error {
        action: format!("make {} read-only", path.display()),
        ..error
    })
}
