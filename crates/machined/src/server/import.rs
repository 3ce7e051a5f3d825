//! Images that a client brings in an archive.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use api::proto::machine::ImageServiceImportRequest;
use api::proto::machine::image_service_import_request::Request as Part;
use image::archive::{self, ArchiveError, Archived};
use tonic::{Status, Streaming};

use super::images::Place;
use crate::node::Node;
use crate::services::sandbox::{IMAGES, image_folder};

/// Largest archive taken: ten times the largest image that a node runs.
const MAX: u64 = 8 << 30;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes an archive, and gives the name of its image.
///
/// # Errors
/// It is no archive of one image, or it cannot be kept.
pub async fn import(node: &Node, mut requests: Streaming<ImageServiceImportRequest>) -> Result<String, Status> {
    let place = match next(&mut requests).await? {
        Some(Part::Containerd(instance)) => Place::of_instance(Some(&instance)),
        _ => {
            let text = "the first message must say where the image goes (containerd)";
            return Err(Status::invalid_argument(text));
        }
    };
    let failed = |doing: &str, e: std::io::Error| Status::internal(format!("{doing} in {IMAGES}: {e}"));
    std::fs::create_dir_all(IMAGES).map_err(|e| failed("make a folder", e))?;
    // Dropped in any case, with everything in it.
    let work = tempfile::Builder::new().prefix(".import-").tempdir_in(IMAGES);
    let work = work.map_err(|e| failed("make a folder", e))?;
    let file = work.path().join("archive.tar");
    receive(&mut requests, &file).await?;
    let folder = work.path().join("image");
    let read = tokio::task::spawn_blocking(move || -> Result<Archived, ArchiveError> {
        let archive = std::fs::File::open(&file).map_err(ArchiveError::Read)?;
        std::fs::create_dir(&folder).map_err(ArchiveError::Write)?;
        let image = archive::read(archive, &folder, MAX)?;
        // What is unpacked is needed once only.
        std::fs::remove_file(&file).map_err(ArchiveError::Write)?;
        Ok(image)
    });
    let image = read.await.map_err(|e| super::internal(e.into()))?.map_err(status)?;
    match place {
        Place::System => image::pull::unpack_archived(&image, &image_folder(&image.name))
            .await
            .map(drop)
            .map_err(|e| Status::invalid_argument(e.to_string()))?,
        Place::Runtime => node.containerd.import(&image).await.map_err(super::internal)?,
    }
    Ok(image.name)
}

async fn next(requests: &mut Streaming<ImageServiceImportRequest>) -> Result<Option<Part>, Status> {
    let next = tokio::time::timeout(SILENCE, requests.message()).await;
    let next = next.map_err(|_| Status::deadline_exceeded("nothing more of the archive came"))??;
    Ok(next.and_then(|next| next.request))
}

async fn receive(requests: &mut Streaming<ImageServiceImportRequest>, file: &Path) -> Result<(), Status> {
    let failed = |e: std::io::Error| Status::internal(format!("write {}: {e}", file.display()));
    let mut archive = std::fs::File::create(file).map_err(failed)?;
    let mut left = MAX;
    while let Some(part) = next(requests).await? {
        let Part::ImageChunk(data) = part else {
            return Err(Status::invalid_argument("where the image goes has been said already"));
        };
        left = left
            .checked_sub(data.bytes.len() as u64)
            .ok_or_else(|| status(ArchiveError::TooLarge(MAX)))?;
        // Into the page cache: what is written to the disk later does not hold us up.
        archive.write_all(&data.bytes).map_err(failed)?;
    }
    Ok(())
}

fn status(error: ArchiveError) -> Status {
    match error {
        ArchiveError::Write(_) | ArchiveError::Layout(_) => Status::internal(error.to_string()),
        ArchiveError::TooLarge(_) => Status::resource_exhausted(error.to_string()),
        _ => Status::invalid_argument(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_for_an_import_that_fails_is_told() {
        let code = |error| status(error).code();
        assert_eq!(code(ArchiveError::Bad(String::new())), tonic::Code::InvalidArgument);
        assert_eq!(code(ArchiveError::TooLarge(1)), tonic::Code::ResourceExhausted);
        assert_eq!(
            code(ArchiveError::Write(std::io::Error::other("full"))),
            tonic::Code::Internal
        );
    }
}
