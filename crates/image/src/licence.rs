//! Which licence a source tree is under, told from its licence files.

use std::fs;
use std::path::Path;

/// What SPDX writes when nothing is known.
pub const UNKNOWN: &str = "NOASSERTION";

/// The SPDX expression for the licence files at the top of a folder, joined with AND.
pub fn of_folder(dir: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    let is_licence = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "UNLICENSE", "MIT-LICENSE"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let mut found: Vec<&str> = names
        .iter()
        .filter(|path| is_licence(path) && path.is_file())
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter_map(|text| of_text(&text))
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        UNKNOWN.to_owned()
    } else {
        found.join(" AND ")
    }
}

/// The SPDX identifier of a licence text, by phrases only that licence has.
pub fn of_text(text: &str) -> Option<&'static str> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let has = |phrase: &str| text.contains(phrase);
    if has("mozilla public license") && (has("version 2.0") || has("v. 2.0")) {
        return Some("MPL-2.0");
    }
    if has("apache license") && has("version 2.0") {
        return Some("Apache-2.0");
    }
    if has("gnu lesser general public license") || has("gnu library general public license") {
        return Some(if has("version 3") {
            "LGPL-3.0-or-later"
        } else {
            "LGPL-2.1-or-later"
        });
    }
    if has("gnu general public license") {
        return Some(if has("version 3") {
            "GPL-3.0-or-later"
        } else {
            "GPL-2.0-or-later"
        });
    }
    if has("this is free and unencumbered software released into the public domain") {
        return Some("Unlicense");
    }
    if has("creative commons") && has("cc0 1.0") {
        return Some("CC0-1.0");
    }
    if has("permission to use, copy, modify, and/or distribute this software")
        || has("permission to use, copy, modify, and distribute this software")
    {
        return Some("ISC");
    }
    if has("permission is hereby granted, free of charge, to any person obtaining a copy") {
        return Some("MIT");
    }
    if has("redistribution and use in source and binary forms") {
        let three =
            has("neither the name") || has("may be used to endorse or promote") || has("names of its contributors");
        return Some(if three { "BSD-3-Clause" } else { "BSD-2-Clause" });
    }
    if has("this software is provided 'as-is', without any express or implied warranty") {
        return Some("Zlib");
    }
    None
}

/// The licences a Debian copyright file names, joined with AND; Debian's short names are mapped to SPDX where they
/// differ.
pub fn of_debian_copyright(text: &str) -> String {
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("License:"))
        .map(|rest| rest.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return of_text(text).unwrap_or(UNKNOWN).to_owned();
    }
    let mut known: Vec<String> = found.iter().map(|name| spdx(name)).collect();
    known.sort();
    known.dedup();
    known.join(" AND ")
}

/// Debian's short name as an SPDX expression; names SPDX does not have become references.
fn spdx(name: &str) -> String {
    let simple = match name.trim_end_matches('.') {
        "GPL-2+" | "GPL-2.0+" => "GPL-2.0-or-later",
        "GPL-2" | "GPL-2.0" => "GPL-2.0-only",
        "GPL-3+" | "GPL-3.0+" => "GPL-3.0-or-later",
        "GPL-3" => "GPL-3.0-only",
        "GPL-1+" => "GPL-1.0-or-later",
        "LGPL-2+" => "LGPL-2.0-or-later",
        "LGPL-2" => "LGPL-2.0-only",
        "LGPL-2.1+" => "LGPL-2.1-or-later",
        "LGPL-2.1" => "LGPL-2.1-only",
        "LGPL-3+" => "LGPL-3.0-or-later",
        "LGPL-3" => "LGPL-3.0-only",
        "BSD-2-clause" | "BSD-2-Clause" => "BSD-2-Clause",
        "BSD-3-clause" | "BSD-3-Clause" => "BSD-3-Clause",
        "BSD-4-clause" => "BSD-4-Clause",
        "Expat" | "MIT" => "MIT",
        "ISC" => "ISC",
        "MPL-2.0" => "MPL-2.0",
        "Apache-2.0" => "Apache-2.0",
        "Zlib" | "zlib" => "Zlib",
        _ => "",
    };
    if !simple.is_empty() {
        return simple.to_owned();
    }
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    format!("LicenseRef-Debian-{}", safe.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_licences_are_recognised() {
        assert_eq!(
            of_text("Apache License\n   Version 2.0, January 2004"),
            Some("Apache-2.0")
        );
        assert_eq!(
            of_text("Permission is hereby granted, free of charge,\nto any person obtaining a copy"),
            Some("MIT")
        );
        let bsd = "Redistribution and use in source and binary forms, with or without";
        assert_eq!(of_text(bsd), Some("BSD-2-Clause"));
        assert_eq!(
            of_text(&format!("{bsd} Neither the name of Google")),
            Some("BSD-3-Clause")
        );
        assert_eq!(of_text("Mozilla Public License Version 2.0"), Some("MPL-2.0"));
        assert_eq!(of_text("all rights reserved"), None);
    }

    #[test]
    fn debian_names_become_spdx_expressions() {
        let text = "Files: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat\n\nLicense: GPL-2+\n text\n";
        assert_eq!(of_debian_copyright(text), "GPL-2.0-or-later AND MIT");
        assert_eq!(
            of_debian_copyright("License: public domain\n"),
            "LicenseRef-Debian-public-domain"
        );
    }
}
