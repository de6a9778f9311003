//! All files of something as one archive (ZIP, APPNOTE 6.3.10), made while it is sent: stored as they are, lengths and sums after each, Zip64
//! where it takes that. Nothing of it is held but the piece that is on its way.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_zip::base::write::ZipFileWriter;
use async_zip::{Compression, ZipEntryBuilder};
use axum::body::Body;
use futures_util::{StreamExt, TryFutureExt, stream};
use prometheus::IntGauge;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream, copy, duplex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::compat::FuturesAsyncWriteCompatExt;
use tokio_util::io::{ReaderStream, StreamReader};

use super::stored::Object;

/// Archives that are made at a time. Each reads the disk as fast as its reader takes it.
const AT_ONCE: usize = 16;
/// Bytes that may wait for the reader of one.
const WAITING: usize = 256 * 1024;

/// Who may make archives.
#[derive(Clone)]
pub struct Zips {
    places: Arc<Semaphore>,
    gauge: IntGauge,
}

/// A place for one that is made.
pub struct Making {
    _place: OwnedSemaphorePermit,
    gauge: IntGauge,
}

/// A file for an archive.
pub struct Entry {
    /// Its name there.
    pub called: String,
    /// Where it lies.
    pub path: PathBuf,
    /// The bucket's, for when it lies there no longer.
    pub stored: Option<Object>,
}

impl Zips {
    /// Nobody yet.
    pub fn new(gauge: IntGauge) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), gauge }
    }

    /// A place, if there is one.
    pub fn begin(&self) -> Option<Making> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        self.gauge.inc();
        Some(Making { _place: place, gauge: self.gauge.clone() })
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Making {
    /// An archive of these. Whoever reads it sees it break off where one cannot be read.
    pub fn stream(self, entries: Vec<Entry>) -> Body {
        let (writer, reader) = duplex(WAITING);
        // Ends when its reader does: then nothing can be written any more.
        let written = tokio::spawn(async move {
            let written = write(writer, entries).await;
            drop(self);
            written
        });
        let end = stream::once(written.map_err(io::Error::other)).filter_map(|ended| async move { ended.and_then(|written| written).err() });
        Body::from_stream(ReaderStream::new(reader).chain(end.map(Err)))
    }
}

async fn write(writer: DuplexStream, entries: Vec<Entry>) -> io::Result<()> {
    let mut archive = ZipFileWriter::with_tokio(writer);
    for Entry { called, path, stored } in entries {
        let mut content = content(&path, stored).await?;
        let entry = ZipEntryBuilder::new(called.into(), Compression::Stored).unix_permissions(0o644);
        let mut place = archive.write_entry_stream(entry).await.map_err(io::Error::other)?;
        copy(&mut content, &mut (&mut place).compat_write()).await?;
        place.close().await.map_err(io::Error::other)?;
    }
    archive.close().await.map_err(io::Error::other)?;
    Ok(())
}

/// What there is of a file, from here or from the bucket.
async fn content(path: &Path, stored: Option<Object>) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    let file = match (File::open(path).await, stored) {
        (Err(error), Some(stored)) if error.kind() == ErrorKind::NotFound => {
            let reading = stored.reading().map_err(|_| io::Error::other("too many read from the bucket"))?;
            return Ok(Box::new(StreamReader::new(Box::pin(reading))));
        }
        (file, _) => file?,
    };
    // What is being recorded grows: what there was when it was its turn is in the archive.
    let mut whole = file.take(0);
    let length = whole.get_ref().metadata().await?.len();
    whole.set_limit(length);
    Ok(Box::new(whole))
}
