//! Image building: root filesystem, OCI images and layouts, registry, software bill of materials.
