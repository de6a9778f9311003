//! All files of something as one archive (ZIP, APPNOTE 6.3.10), made while it is sent: stored as they are, lengths and sums after each, Zip64
//! always, since what follows a file may not know how long it was. Nothing of it is held but the piece that is on its way. How long it is in all is known
//! before its first byte where nothing in it grows any more.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_zip::base::write::ZipFileWriter;
use async_zip::{Compression, ZipDateTime, ZipDateTimeBuilder, ZipEntryBuilder};
use axum::body::Body;
use futures_util::{StreamExt, TryFutureExt, stream};
use prometheus::IntGauge;
use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex};
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
    pub name: String,
    /// When what is in it began: since the Unix epoch.
    pub at: Duration,
    /// What is in it.
    pub content: Content,
}

/// What is in a file of an archive.
pub enum Content {
    /// Something short.
    Bytes(Vec<u8>),
    /// What lies there, of so many bytes; of as many as there are when it is its turn, where it may still grow.
    File {
        /// Where it lies.
        path: PathBuf,
        /// Its length.
        bytes: Option<u64>,
        /// The bucket's, for when it lies there no longer.
        stored: Option<Object>,
    },
}

/// Bytes of an archive of these; none where one may still grow.
pub fn length(entries: &[Entry]) -> Option<u64> {
    // By APPNOTE 4.3.7, 4.5.3, 4.3.9, 4.3.12, 4.3.14 to 4.3.16; the extra field has two lengths before a file and its place as well in the directory.
    let (before, extra, after, directory, directory_extra, end) = (30, 4 + 16, 24, 46, 4 + 24, 56 + 20 + 22);
    entries.iter().try_fold(end, |sum: u64, Entry { name, content, .. }| {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { bytes, .. } => (*bytes)?,
        };
        sum.checked_add(bytes)?.checked_add(before + extra + after + directory + directory_extra + 2 * name.len() as u64)
    })
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
    for Entry { name, at, content } in entries {
        let entry = ZipEntryBuilder::new(name.into(), Compression::Stored).unix_permissions(0o644).last_modification_date(date(at));
        let mut place = archive.write_entry_stream(entry).await.map_err(io::Error::other)?;
        match content {
            Content::Bytes(bytes) => (&mut place).compat_write().write_all(&bytes).await?,
            Content::File { path, bytes, stored } => {
                let (mut file, bytes) = opened(&path, bytes, stored).await?;
                if copy(&mut file, &mut (&mut place).compat_write()).await? < bytes {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file is shorter than it was"));
                }
            }
        }
        place.close().await.map_err(io::Error::other)?;
    }
    archive.close().await.map_err(io::Error::other)?;
    Ok(())
}

/// As the format has it (APPNOTE 4.4.6): without a time zone, to two seconds, from 1980 to 2107. UTC is written, since nobody knows where it is unpacked.
fn date(at: Duration) -> ZipDateTime {
    let at = SystemTime::UNIX_EPOCH.checked_add(at).map(OffsetDateTime::from).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    if !(1980..=2107).contains(&at.year()) {
        return ZipDateTime::default();
    }
    ZipDateTimeBuilder::new()
        .year(at.year())
        .month(u8::from(at.month()).into())
        .day(at.day().into())
        .hour(at.hour().into())
        .minute(at.minute().into())
        .second(at.second().into())
        .build()
}

/// What there is of a file, from here or from the bucket, and how many bytes of it are to come.
async fn opened(path: &Path, bytes: Option<u64>, stored: Option<Object>) -> io::Result<(Box<dyn AsyncRead + Send + Unpin>, u64)> {
    let file = match (File::open(path).await, stored) {
        (Err(error), Some(stored)) if error.kind() == ErrorKind::NotFound => {
            let bytes = stored.bytes();
            let reading = stored.reading().map_err(|_| io::Error::other("too many read from the bucket"))?;
            return Ok((Box::new(StreamReader::new(Box::pin(reading))), bytes));
        }
        (file, _) => file?,
    };
    // What is being recorded grows: what there was when it was its turn is in the archive.
    let bytes = match bytes {
        Some(bytes) => bytes,
        None => file.metadata().await?.len(),
    };
    Ok((Box::new(file.take(bytes)), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_is_as_long_as_was_said_before() {
        let file = std::env::temp_dir().join(format!("althing-zip-{}", std::process::id()));
        std::fs::write(&file, [7; 70_000]).expect("written");
        let entry = |name: &str, content| Entry { name: name.into(), at: Duration::ZERO, content };
        let lies = |bytes| Content::File { path: file.clone(), bytes, stored: None };
        let archives = [
            vec![entry("a", Content::Bytes(Vec::new()))],
            vec![entry("a.webm", lies(Some(70_000))), entry("manifest.json", Content::Bytes(vec![1; 500]))],
            vec![entry("会议 - Ada.webm", lies(Some(69_999))), entry("b", Content::Bytes(vec![1])), entry("c", Content::Bytes(vec![2]))],
            // More than the legacy count of files holds.
            (0..70_000).map(|n| entry(&format!("{n}"), Content::Bytes(vec![3]))).collect(),
        ];
        for entries in archives {
            let said = length(&entries).expect("nothing grows");
            assert_eq!(written(entries).await.expect("written"), said);
        }
        let growing = vec![entry("a", lies(None))];
        assert_eq!(length(&growing), None);
        assert!(written(growing).await.expect("written") > 70_000);
        let short = vec![entry("a", lies(Some(70_001)))];
        assert_eq!(written(short).await.expect_err("it breaks off").kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(&file).expect("removed");
    }

    #[test]
    fn a_date_is_what_the_format_can_say() {
        let parts = |seconds| {
            let date = date(Duration::from_secs(seconds));
            (date.year(), date.month(), date.day(), date.hour(), date.minute(), date.second())
        };
        assert_eq!(parts(1_795_820_399), (2026, 11, 27, 22, 59, 58), "to two seconds");
        assert_eq!(parts(1_709_164_800), (2024, 2, 29, 0, 0, 0));
        assert_eq!(parts(0), (1980, 1, 1, 0, 0, 0), "before its time");
        assert_eq!(parts(4_354_819_200), (1980, 1, 1, 0, 0, 0), "2108");
        assert_eq!(parts(u64::MAX), (1980, 1, 1, 0, 0, 0), "beyond what a clock says");
    }

    /// Bytes of an archive.
    async fn written(entries: Vec<Entry>) -> io::Result<u64> {
        let (writer, mut reader) = duplex(WAITING);
        let (written, bytes) = tokio::join!(write(writer, entries), copy_all(&mut reader));
        written.map(|()| bytes)
    }

    async fn copy_all(reader: &mut DuplexStream) -> u64 {
        copy(reader, &mut tokio::io::sink()).await.expect("read")
    }
}
