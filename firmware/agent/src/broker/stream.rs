//! What volumes hold, through the broker's socket: a line that says it begins, then frames (a length of four bytes, the highest first, and
//! so many bytes), an empty frame, and a line with what came of it. Without that line nothing was whole.

use super::{Error, Reply, Request, begin, reply};
use crate::limits::{STREAM_IDLE, STREAM_WAITING_FRAMES};
use crate::pieces;
use anyhow::{Context, Result, ensure};
use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// The longest frame in bytes.
const FRAME_BYTES: usize = 256 * 1024;

/// Pieces as they come; an error is the last of them, and one that ends without an error is whole.
pub type Pieces = Receiver<std::io::Result<Bytes>>;

/// Writes some bytes as frames; never the empty one.
pub async fn put(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<()> {
    for frame in bytes.chunks(FRAME_BYTES) {
        let length = u32::try_from(frame.len()).context("a frame is too long")?;
        let written = async {
            write.write_all(&length.to_be_bytes()).await?;
            write.write_all(frame).await
        };
        timeout(STREAM_IDLE, written).await.context("the other side takes nothing any more")?.context("sending what a volume holds")?;
    }
    Ok(())
}

/// Writes the empty frame, after which nothing comes.
pub async fn end(write: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    timeout(STREAM_IDLE, write.write_all(&[0; 4])).await.context("the other side takes nothing any more")?.context("sending a frame")
}

/// The next frame; nothing once the empty one came.
pub async fn get(read: &mut (impl AsyncRead + Unpin)) -> Result<Option<Bytes>> {
    let came = async {
        let mut length = [0; 4];
        read.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES {
            return Err(IoError::new(ErrorKind::InvalidData, format!("a frame has {length} bytes, and {FRAME_BYTES} are the most")));
        }
        let mut bytes = vec![0; length];
        read.read_exact(&mut bytes).await?;
        Ok(bytes)
    };
    let bytes = timeout(STREAM_IDLE, came).await.context("nothing came any more")?.context("reading what a volume holds")?;
    Ok(if bytes.is_empty() { None } else { Some(Bytes::from(bytes)) })
}

/// Takes frames to their end, in a task of its own. What ends without the empty frame ends with an error.
pub fn taken(mut read: impl AsyncRead + Unpin + Send + 'static) -> Pieces {
    let (sender, receiver) = channel(STREAM_WAITING_FRAMES);
    tokio::spawn(async move {
        loop {
            let piece = match get(&mut read).await {
                Ok(None) => return,
                Ok(Some(bytes)) => Ok(bytes),
                Err(error) => Err(IoError::other(format!("{error:#}"))),
            };
            let last = piece.is_err();
            if sender.send(piece).await.is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// Gives what comes as frames, and the empty one after the last.
///
/// # Errors
/// The other side is gone, or what comes ends with an error: then the empty frame is not written.
pub async fn give<E: std::fmt::Display>(
    write: &mut (impl AsyncWrite + Unpin),
    mut pieces: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<()> {
    while let Some(piece) = pieces.next().await {
        put(write, &piece.map_err(|error| anyhow::anyhow!("{error}"))?).await?;
    }
    end(write).await
}

/// Asks for what a volume holds.
///
/// # Errors
/// See [`Error`]; what goes wrong later is the last that comes.
pub async fn read(socket: &Path, request: &Request) -> std::result::Result<Pieces, Error> {
    let unreachable = |error: anyhow::Error| Error::Unreachable { socket: socket.to_owned(), why: format!("{error:#}") };
    let begun = async {
        let (mut reader, write) = begin(socket, request).await?;
        Ok::<_, anyhow::Error>((timeout(STREAM_IDLE, reply::<()>(&mut reader, |_| ())).await.context("no answer came")??, reader, write))
    };
    let (answer, mut reader, write) = begun.await.map_err(unreachable)?;
    if let Reply::Failed(failure) = answer {
        return Err(Error::Failed(failure));
    }
    let (sender, receiver) = channel(STREAM_WAITING_FRAMES);
    tokio::spawn(async move {
        let _asking = write;
        let ended = async {
            while let Some(bytes) = get(&mut reader).await? {
                ensure!(sender.send(Ok(bytes)).await.is_ok(), "nobody reads it any more");
            }
            timeout(STREAM_IDLE, reply::<()>(&mut reader, |_| ())).await.context("no answer came")?
        };
        // What was cut is no word of the broker's: it may be asked again.
        let wrong = match ended.await {
            Ok(Reply::Done(()) | Reply::Progress(_)) => return,
            Ok(Reply::Failed(failure)) => IoError::other(failure.error),
            Err(error) => IoError::new(ErrorKind::ConnectionAborted, format!("{error:#}")),
        };
        let _gone = sender.send(Err(wrong)).await;
    });
    Ok(receiver)
}

/// Fills a volume with what comes.
///
/// # Errors
/// See [`Error`].
pub async fn write(socket: &Path, request: &Request, from: Pieces) -> std::result::Result<(), Error> {
    let unreachable = |error: anyhow::Error| Error::Unreachable { socket: socket.to_owned(), why: format!("{error:#}") };
    let (mut reader, mut write) = begin(socket, request).await.map_err(unreachable)?;
    let begun = timeout(STREAM_IDLE, reply::<()>(&mut reader, |_| ())).await.context("no answer came");
    if let Reply::Failed(failure) = begun.and_then(|begun| begun).map_err(unreachable)? {
        return Err(Error::Failed(failure));
    }
    let given = give(&mut write, pieces::stream(from)).await;
    if given.is_err() {
        // The broker hears that no more comes, and ends what it began.
        let _gone = write.shutdown().await;
    }
    let told = timeout(STREAM_IDLE, reply::<()>(&mut reader, |_| ())).await.context("no answer came").and_then(|told| told);
    match (given, told) {
        (Ok(()), Ok(Reply::Done(()))) => Ok(()),
        (_, Ok(Reply::Failed(failure))) => Err(Error::Failed(failure)),
        (Err(error), _) | (Ok(()), Err(error)) => Err(unreachable(error)),
        (Ok(()), Ok(Reply::Progress(_))) => Err(unreachable(anyhow::anyhow!("it ended before it was done"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    async fn all(mut pieces: Pieces) -> (Vec<u8>, Option<String>) {
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => return (bytes, Some(error.to_string())),
            }
        }
        (bytes, None)
    }

    #[tokio::test]
    async fn what_is_given_is_taken_and_what_is_cut_is_not_whole() {
        let said: Vec<u8> = (0..FRAME_BYTES * 2 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut wire = Vec::new();
        let pieces = stream::iter([Ok::<_, String>(Bytes::from(said.clone())), Ok(Bytes::new()), Ok(Bytes::from_static(b"end"))]);
        give(&mut wire, pieces).await.unwrap();
        let whole = [said.as_slice(), b"end"].concat();
        assert_eq!(all(taken(std::io::Cursor::new(wire.clone()))).await, (whole, None));
        for cut in [0, 3, 4, 5000, wire.len() - 4, wire.len() - 1] {
            let error = all(taken(std::io::Cursor::new(wire[..cut].to_vec()))).await.1;
            assert!(error.is_some_and(|error| error.contains("reading what a volume holds")), "cut at {cut}");
        }
        let huge = all(taken(std::io::Cursor::new(vec![0xff; 64]))).await.1.unwrap();
        assert!(huge.contains("are the most"), "{huge}");
        // What fails where it comes from is never said to be whole.
        let mut wire = Vec::new();
        assert!(give(&mut wire, stream::iter([Ok(Bytes::from_static(b"some")), Err("no more")])).await.is_err());
        assert!(all(taken(std::io::Cursor::new(wire))).await.1.is_some());
    }
}
