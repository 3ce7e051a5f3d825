//! `list`: the files of a folder.

use std::time::SystemTime;

use anyhow::Result;
use api::proto::machine::list_request::Type;
use api::proto::machine::{FileInfo, ListRequest};
use futures::StreamExt as _;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::files::List;
use crate::output::age::{relative, timestamp};
use crate::output::{note, print, size, table::Flow};
use crate::session::{Failures, Session, Silent, block};

/// The attribute that has a file's label for SELinux.
const LABEL: &str = "security.selinux";

/// Runs `list`.
pub fn run(command: &Node<List>, program: Program) -> Result<()> {
    let args = &command.args;
    let request = request(args);
    block(async {
        let session = Session::open(&command.client, program)?;
        let mut stream = session
            .streams(async |client| client.machine().list(request.clone()).await)
            .await;
        let mut table = Flow::new(header(args));
        let (mut any, mut broken, mut failures) = (false, false, Failures::default());
        while let Some((node, item)) = stream.next().await {
            match item {
                Ok(info) if !info.error.is_empty() => {
                    broken = true;
                    note(&format!("{node}: error reading file {}: {}", info.name, info.error));
                    // A file without its label is still there.
                    if info.mode != 0 {
                        table.row(row(args, &node, &info)).map_or(Ok(()), |text| print(&text))?;
                    }
                }
                Ok(info) => {
                    any = true;
                    table.row(row(args, &node, &info)).map_or(Ok(()), |text| print(&text))?;
                }
                Err(status) => failures.0.push((node, status)),
            }
        }
        if any || failures.0.is_empty() {
            print(&table.rest())?;
        }
        failures.into_result()?;
        if broken { Err(Silent.into()) } else { Ok(()) }
    })
}

fn request(args: &List) -> ListRequest {
    let kind = |letter: &String| match letter.as_str() {
        "d" => Type::Directory,
        "f" => Type::Regular,
        _ => Type::Symlink,
    };
    ListRequest {
        root: args.path.clone(),
        recurse: args.recurse || args.depth != 1,
        // A depth that was asked for bounds what --recurse means; alone, --recurse has no bound.
        recursion_depth: if args.recurse && args.depth == 1 { 0 } else { args.depth },
        types: args.types.iter().map(|t| kind(t).into()).collect(),
        report_xattrs: args.long,
    }
}

fn header(args: &List) -> Vec<&'static str> {
    if !args.long {
        return vec!["NODE", "NAME"];
    }
    let size = if args.humanize { "SIZE" } else { "SIZE(B)" };
    vec!["NODE", "MODE", "UID", "GID", size, "LASTMOD", "LABEL", "NAME"]
}

fn row(args: &List, node: &str, info: &FileInfo) -> Vec<String> {
    if !args.long {
        return vec![node.to_owned(), info.relative_name.clone()];
    }
    let bytes = u64::try_from(info.size).unwrap_or_default();
    let modified = timestamp(info.modified, 0);
    let (size, modified) = if args.humanize {
        (size::decimal(bytes), relative(modified, SystemTime::now()))
    } else {
        (bytes.to_string(), stamp(info.modified))
    };
    let label = info.xattrs.iter().find(|x| x.name == LABEL);
    let label = label.map(|x| String::from_utf8_lossy(&x.data).trim_end_matches('\0').to_owned());
    let name = if info.link.is_empty() {
        info.relative_name.clone()
    } else {
        format!("{} -> {}", info.relative_name, info.link)
    };
    let (uid, gid) = (info.uid.to_string(), info.gid.to_string());
    let label = label.unwrap_or_default();
    vec![node.to_owned(), mode(info.mode), uid, gid, size, modified, label, name]
}

/// `Nov 21 06:27:14`, in UTC.
fn stamp(seconds: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Ok(time) = jiff::Timestamp::from_second(seconds) else {
        return "out of range".to_owned();
    };
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    let month = usize::try_from(time.month() - 1).ok().and_then(|m| MONTHS.get(m));
    format!(
        "{} {:>2} {:02}:{:02}:{:02}",
        month.unwrap_or(&"?"),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// A mode as Go writes it: a letter for each special bit from the top on, or `-`, then the permissions.
fn mode(mode: u32) -> String {
    let special = "dalTLDpSugct?";
    let mut text: String = special
        .chars()
        .enumerate()
        .filter(|(index, _)| mode & (1 << (31 - index)) != 0)
        .map(|(_, letter)| letter)
        .collect();
    if text.is_empty() {
        text.push('-');
    }
    let permissions = "rwxrwxrwx".chars().enumerate();
    text.extend(permissions.map(|(index, letter)| if mode & (1 << (8 - index)) != 0 { letter } else { '-' }));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(long: bool, humanize: bool) -> List {
        List {
            path: "/etc".into(),
            depth: 1,
            humanize,
            long,
            recurse: false,
            types: vec![],
        }
    }

    #[test]
    fn files_print_as_captured() {
        let captured = include_str!("../../tests/vectors/cli/list_-l__etc.txt");
        let captured = captured.strip_suffix("exit 0\n").unwrap();
        let mut table = Flow::new(header(&args(true, false)));
        let time = |text: &str| {
            let (day, clock) = (text[4..6].parse::<i64>().unwrap(), &text[7..]);
            let parts: Vec<i64> = clock.split(':').map(|p| p.parse().unwrap()).collect();
            // 2026-11-01 is 1793491200.
            1_793_491_200 + (day - 1) * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
        };
        for line in captured.lines().skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let letters = &cells[1][cells[1].len() - 9..];
            let bits = letters.chars().fold(0, |bits, c| bits << 1 | u32::from(c != '-'));
            let special = [('d', 31), ('t', 20)];
            let kind = &cells[1][..cells[1].len() - 9];
            let special: u32 = special
                .iter()
                .filter(|(c, _)| kind.contains(*c))
                .map(|(_, bit)| 1 << bit)
                .sum();
            let info = FileInfo {
                mode: bits | special,
                size: cells[4].parse().unwrap(),
                modified: time(&cells[5..8].join(" ")),
                relative_name: cells[8].into(),
                ..FileInfo::default()
            };
            assert_eq!(table.row(row(&args(true, false), cells[0], &info)), None);
        }
        assert_eq!(table.rest(), captured);
    }

    #[test]
    fn links_show_where_they_lead_and_sizes_can_be_for_people() {
        let info = FileInfo {
            mode: 1 << 27 | 0o777,
            size: 1_500_000,
            link: "/x".into(),
            relative_name: "a".into(),
            ..FileInfo::default()
        };
        let cells = row(&args(true, true), "n", &info);
        assert_eq!(
            (cells[1].as_str(), cells[4].as_str(), cells[7].as_str()),
            ("Lrwxrwxrwx", "1.5 MB", "a -> /x")
        );
        assert_eq!(row(&args(false, false), "n", &info), ["n", "a"]);
    }

    #[test]
    fn recursion_is_bounded_only_by_a_depth_that_was_asked_for() {
        let request = |recurse, depth| {
            let request = super::request(&List {
                recurse,
                depth,
                ..args(false, false)
            });
            (request.recurse, request.recursion_depth)
        };
        assert_eq!(request(false, 1), (false, 1));
        assert_eq!(request(true, 1), (true, 0));
        assert_eq!(request(false, 3), (true, 3));
        assert_eq!(request(true, 2), (true, 2));
    }
}
