//! Control groups out of an archive of `/sys/fs/cgroup`.
//!
//! Of version 2 every folder is a group. Version 1 has a tree per controller; the trees are laid over each other, and
//! what the files of version 1 say is translated into those of version 2.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;

/// Files that are larger are lists of processes and the like.
const FILE_MAX: u64 = 64 * 1024;
/// "No limit" of version 1 is the highest multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

/// A group: its files by name, and the groups below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// The text of each file, named as in version 2.
    pub files: BTreeMap<String, String>,
    /// The groups below, by name.
    pub children: BTreeMap<String, Group>,
}

impl Group {
    fn at<'a>(&mut self, path: impl Iterator<Item = &'a str>) -> &mut Group {
        let mut group = self;
        for part in path {
            group = group.children.entry(part.to_owned()).or_default();
        }
        group
    }

    fn each(&mut self, change: &impl Fn(&mut BTreeMap<String, String>)) {
        change(&mut self.files);
        for child in self.children.values_mut() {
            child.each(change);
        }
    }
}

/// The root group, from a compressed archive.
pub fn read(archive: impl Read) -> Result<Group> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut files: Vec<(String, String)> = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    for entry in archive.entries().context("read the archive")? {
        let entry = entry.context("read the archive")?;
        let name = entry
            .path()
            .context("read a name in the archive")?
            .to_string_lossy()
            .into_owned();
        if entry.header().entry_type().is_dir() {
            folders.push(name.trim_end_matches('/').to_owned());
        } else if entry.header().entry_type().is_file() && is_wanted(&name) {
            let mut text = String::new();
            if entry.take(FILE_MAX).read_to_string(&mut text).is_ok() {
                files.push((name, text));
            }
        }
    }
    // The root of version 2 has this file, and folders of version 1 do not.
    let unified = files.iter().any(|(name, _)| name == "cgroup.controllers");
    let place = |name: &str| -> Option<String> {
        if unified {
            return Some(name.to_owned());
        }
        let (tree, rest) = name.split_once('/')?;
        // Version 2 beside version 1 has no controllers; the tree of systemd has none either.
        (!matches!(tree, "unified" | "systemd")).then(|| rest.to_owned())
    };
    let mut root = Group::default();
    for folder in folders.iter().filter_map(|name| place(name)) {
        root.at(folder.split('/'));
    }
    for (name, text) in &files {
        let Some(name) = place(name) else { continue };
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
        let group = root.at(folder.split('/').filter(|part| !part.is_empty()));
        // Several controllers in one tree, or links between them, say the same of a group.
        group.files.entry(file.to_owned()).or_insert_with(|| text.clone());
    }
    if !unified {
        root.each(&translate);
    }
    Ok(root)
}

/// Files of controllers, not those that list processes or take orders.
fn is_wanted(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    ["cpu.", "cpuacct.", "cpuset.", "io.", "blkio.", "memory.", "pids."]
        .iter()
        .any(|c| file.starts_with(c))
        || file == "cgroup.controllers"
}

/// Adds the files that version 2 would have.
fn translate(files: &mut BTreeMap<String, String>) {
    let mut add = Vec::new();
    let text = |name: &str| files.get(name).map(|text| text.trim().to_owned());
    let number = |name: &str| text(name)?.parse::<i128>().ok();
    let field = |file: &str, name: &str| {
        let text = text(file)?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    for (old, new) in [
        ("memory.usage_in_bytes", "memory.current"),
        ("memory.max_usage_in_bytes", "memory.peak"),
        ("cpuset.effective_cpus", "cpuset.cpus.effective"),
        ("cpuset.effective_mems", "cpuset.mems.effective"),
    ] {
        add.extend(text(old).map(|value| (new, value)));
    }
    for (old, new) in [
        ("memory.limit_in_bytes", "memory.max"),
        ("memory.memsw.limit_in_bytes", "memory.swap.max"),
    ] {
        let limit = |value: i128| {
            if value >= i128::from(UNLIMITED) {
                "max".to_owned()
            } else {
                value.to_string()
            }
        };
        add.extend(number(old).map(|value| (new, limit(value))));
    }
    if let (Some(with), Some(without)) = (number("memory.memsw.usage_in_bytes"), number("memory.usage_in_bytes")) {
        add.push(("memory.swap.current", (with - without).max(0).to_string()));
    }
    // The kernel's way from shares (2 to 262144) to weights (1 to 10000), as container runtimes have it.
    add.extend(
        number("cpu.shares").map(|shares| ("cpu.weight", (1 + (shares - 2).max(0) * 9999 / 262_142).to_string())),
    );
    if let (Some(quota), Some(period)) = (number("cpu.cfs_quota_us"), number("cpu.cfs_period_us")) {
        let quota = if quota < 0 { "max".to_owned() } else { quota.to_string() };
        add.push(("cpu.max", format!("{quota} {period}")));
    }
    if let Some(usage) = number("cpuacct.usage") {
        // cpuacct.stat counts in hundredths of a second, throttled_time in nanoseconds.
        let ticks = |name| field("cpuacct.stat", name).unwrap_or_default() * 10_000;
        let throttled = field("cpu.stat", "throttled_time").unwrap_or_default() / 1000;
        let (user, system) = (ticks("user"), ticks("system"));
        let usage = usage / 1000;
        add.push((
            "cpu.stat",
            format!("usage_usec {usage}\nuser_usec {user}\nsystem_usec {system}\nthrottled_usec {throttled}"),
        ));
    }
    let service = |file: &str, names: [&str; 2]| {
        let mut disks: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        for line in text(file).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [disk, kind, count] = words[..] else { continue };
            let disk = disks.entry(disk.to_owned()).or_default();
            match kind {
                "Read" => disk[0] = count.parse().unwrap_or_default(),
                "Write" => disk[1] = count.parse().unwrap_or_default(),
                _ => {}
            }
        }
        let text = |[read, write]: [u64; 2]| format!("{}={read} {}={write}", names[0], names[1]);
        disks
            .into_iter()
            .map(|(disk, counts)| (disk, text(counts)))
            .collect::<BTreeMap<_, _>>()
    };
    let mut io = service("blkio.throttle.io_service_bytes", ["rbytes", "wbytes"]);
    for (disk, text) in service("blkio.throttle.io_serviced", ["rios", "wios"]) {
        let line = io.entry(disk).or_default();
        *line = format!("{line} {text}");
    }
    if !io.is_empty() {
        let lines: Vec<String> = io.into_iter().map(|(disk, text)| format!("{disk} {text}")).collect();
        add.push(("io.stat", lines.join("\n")));
    }
    for (name, text) in add {
        files.insert(name.to_owned(), text);
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in files {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_entry_type(if name.ends_with('/') {
                EntryType::Directory
            } else {
                EntryType::Regular
            });
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn groups_of_version_2_are_read() {
        let bytes = archive(&[
            ("cgroup.controllers", "memory"),
            ("init/", ""),
            ("init/memory.current", "5\n"),
            ("init/cgroup.procs", "1\n"),
            ("kubepods/", ""),
            ("kubepods/pod1/", ""),
        ]);
        let root = read(&bytes[..]).unwrap();
        assert_eq!(root.children.keys().collect::<Vec<_>>(), ["init", "kubepods"]);
        assert_eq!(
            root.children["init"].files,
            BTreeMap::from([("memory.current".into(), "5\n".into())])
        );
        assert!(root.children["kubepods"].children.contains_key("pod1"));
    }

    #[test]
    fn trees_of_version_1_become_one() {
        let bytes = archive(&[
            ("memory/a/", ""),
            ("memory/a/memory.usage_in_bytes", "100\n"),
            ("memory/a/memory.memsw.usage_in_bytes", "130\n"),
            ("memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu/a/", ""),
            ("cpu/a/cpu.shares", "1024\n"),
            ("cpu/a/cpu.cfs_quota_us", "-1\n"),
            ("cpu/a/cpu.cfs_period_us", "100000\n"),
            ("cpu/a/cpu.stat", "nr_periods 1\nthrottled_time 5000\n"),
            ("cpuacct/a/cpuacct.usage", "9000000\n"),
            ("cpuacct/a/cpuacct.stat", "user 1\nsystem 2\n"),
            (
                "blkio/a/blkio.throttle.io_service_bytes",
                "254:0 Read 7\n254:0 Write 8\n254:0 Sync 9\nTotal 15\n",
            ),
            ("unified/b/", ""),
            ("systemd/c/", ""),
        ]);
        let root = read(&bytes[..]).unwrap();
        assert_eq!(root.children.keys().collect::<Vec<_>>(), ["a"]);
        let file = |name: &str| root.children["a"].files[name].as_str();
        assert_eq!((file("memory.current"), file("memory.max")), ("100", "max"));
        assert_eq!((file("memory.swap.current"), file("cpu.weight")), ("30", "39"));
        assert_eq!(file("cpu.max"), "max 100000");
        assert_eq!(
            file("cpu.stat"),
            "usage_usec 9000\nuser_usec 10000\nsystem_usec 20000\nthrottled_usec 5"
        );
        assert_eq!(file("io.stat"), "254:0 rbytes=7 wbytes=8");
    }
}
