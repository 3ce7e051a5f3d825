//! Which shared libraries a program needs: the dynamic section of a 64-bit little-endian ELF file.

/// The names in `DT_NEEDED`, and the program interpreter's path. Neither for a static program or no ELF file at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Library file names, as `libc.so.6`.
    pub libraries: Vec<String>,
    /// The dynamic linker, as `/lib64/ld-linux-x86-64.so.2`.
    pub interpreter: Option<String>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// Reads what `file` needs; anything that is not a well-formed dynamic ELF file needs nothing.
pub fn needs(file: &[u8]) -> Needs {
    parse(file).unwrap_or_default()
}

struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    size: usize,
}

fn parse(file: &[u8]) -> Option<Needs> {
    // 64-bit (2), little-endian (1)
    if file.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let start = usize::try_from(u64_at(file, 32)?).ok()?;
    let (entry_size, count) = (usize::from(u16_at(file, 54)?), usize::from(u16_at(file, 56)?));
    let mut segments = Vec::new();
    for number in 0..count {
        let at = start.checked_add(number.checked_mul(entry_size)?)?;
        segments.push(Segment {
            kind: u32_at(file, at)?,
            offset: usize::try_from(u64_at(file, at + 8)?).ok()?,
            address: u64_at(file, at + 16)?,
            size: usize::try_from(u64_at(file, at + 32)?).ok()?,
        });
    }
    let content = |segment: &Segment| file.get(segment.offset..segment.offset.checked_add(segment.size)?);
    let of_kind = |kind| segments.iter().find(|segment| segment.kind == kind);
    let interpreter = of_kind(PT_INTERP)
        .and_then(content)
        .and_then(|bytes| string_at(bytes, 0));
    let dynamic = content(of_kind(PT_DYNAMIC)?)?;
    let entries: Vec<(u64, u64)> = dynamic
        .chunks_exact(16)
        .filter_map(|chunk| Some((u64_at(chunk, 0)?, u64_at(chunk, 8)?)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1;
    let loaded = |s: &&Segment| s.kind == PT_LOAD && strings.wrapping_sub(s.address) < s.size as u64;
    let home = segments.iter().find(loaded)?;
    let table = file.get(home.offset.checked_add(usize::try_from(strings - home.address).ok()?)?..)?;
    let needed = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
    let libraries = needed
        .filter_map(|(_, at)| string_at(table, usize::try_from(*at).ok()?))
        .collect();
    Some(Needs { libraries, interpreter })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn string_at(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debian_program_needs_the_c_library_and_its_linker() {
        let Ok(file) = std::fs::read("/usr/bin/dpkg-deb") else {
            return;
        };
        let needs = needs(&file);
        assert!(needs.libraries.contains(&"libc.so.6".to_owned()), "{needs:?}");
        assert_eq!(needs.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
    }

    #[test]
    fn other_files_and_cut_off_ones_need_nothing() {
        assert_eq!(needs(b"#!/bin/sh\n"), Needs::default());
        let Ok(file) = std::fs::read("/usr/bin/dpkg-deb") else {
            return;
        };
        for length in [0, 5, 40, 60, 64, 100, 500] {
            let _ = needs(&file[..length]);
        }
    }
}
