//! The software bill of materials, SPDX 2.3 JSON: every Go module, crate and Debian package in the distribution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::licence::UNKNOWN;
use crate::oci::rfc3339;

/// Where a package is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A Go module.
    Go,
    /// A Rust crate.
    Cargo,
    /// A Debian package.
    Debian,
}

/// One package inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Where it is from.
    pub kind: Kind,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression or `NOASSERTION`.
    pub licence: String,
}

impl Package {
    /// The package URL.
    fn purl(&self) -> String {
        let Package { name, version, .. } = self;
        match self.kind {
            Kind::Go => format!("pkg:golang/{name}@{version}"),
            Kind::Cargo => format!("pkg:cargo/{name}@{version}"),
            Kind::Debian => format!("pkg:deb/debian/{name}@{}?arch=amd64", version.replace('+', "%2B")),
        }
    }

    fn id(&self) -> String {
        let prefix = match self.kind {
            Kind::Go => "go",
            Kind::Cargo => "cargo",
            Kind::Debian => "deb",
        };
        // Names may differ in characters an SPDX id cannot have, so a piece of a digest makes it unique.
        let purl = self.purl();
        let safe: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        format!("SPDXRef-{prefix}-{safe}-{}", &Digest::of(purl.as_bytes()).hex()[..12])
    }
}

/// Writes the document for release `version`. The bytes depend on the arguments only.
pub fn document(version: &str, epoch: u64, packages: &[Package]) -> Vec<u8> {
    let mut sorted: BTreeMap<String, &Package> = BTreeMap::new();
    for package in packages {
        sorted.insert(package.id(), package);
    }
    const ROOT: &str = "SPDXRef-keelson";
    let mut list = vec![json!({
        "SPDXID": ROOT,
        "name": "keelson",
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": "Apache-2.0",
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })];
    let mut relationships = vec![
        json!({ "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ROOT }),
    ];
    let mut references: BTreeMap<String, Value> = BTreeMap::new();
    for (id, package) in &sorted {
        list.push(json!({
            "SPDXID": id,
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": UNKNOWN,
            "filesAnalyzed": false,
            "licenseConcluded": UNKNOWN,
            "licenseDeclared": package.licence,
            "copyrightText": UNKNOWN,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl(),
            }],
        }));
        relationships.push(json!({ "spdxElementId": ROOT, "relationshipType": "CONTAINS", "relatedSpdxElement": id }));
        for word in package
            .licence
            .split_whitespace()
            .filter(|word| word.starts_with("LicenseRef-"))
        {
            references.insert(
                word.to_owned(),
                json!({ "licenseId": word, "name": word, "extractedText": "See the package's copyright file in Debian." }),
            );
        }
    }
    let content = serde_json::to_vec(&list).unwrap_or_default();
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("keelson-{version}"),
        "documentNamespace": format!("https://keelson.dev/spdx/{version}/{}", Digest::of(&content).hex()),
        "creationInfo": { "created": rfc3339(epoch), "creators": [format!("Tool: keelson-{version}")] },
        "packages": list,
        "relationships": relationships,
        "hasExtractedLicensingInfos": references.into_values().collect::<Vec<_>>(),
    });
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_listed_once_with_a_purl_and_a_licence() {
        let package = |kind, name: &str| Package {
            kind,
            name: name.into(),
            version: "1".into(),
            licence: "MIT".into(),
        };
        let packages = [
            package(Kind::Go, "a.io/b"),
            package(Kind::Go, "a.io/b"),
            package(Kind::Cargo, "b"),
            package(Kind::Debian, "b"),
        ];
        let bytes = document("v1", 0, &packages);
        assert_eq!(bytes, document("v1", 0, &packages));
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let listed = value["packages"].as_array().unwrap();
        assert_eq!(listed.len(), 4);
        assert!(listed.iter().skip(1).all(|p| p["licenseDeclared"] == "MIT"));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("pkg:golang/a.io/b@1") && text.contains("pkg:deb/debian/b@1?arch=amd64"));
    }
}
