//! What comes and goes piece by piece, for those who read and write where waiting does no harm.

use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use std::error::Error;
use std::io::{BufWriter, ErrorKind, Read, Result, Write};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait to be read or sent.
const WAITING_PIECES: usize = 4;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes pieces into a channel.
struct Pieces(Sender<Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let gone = |_| std::io::Error::from(ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Does something that writes, on a thread of its own; what went wrong ends what comes.
pub fn written(write: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static) -> Receiver<Result<Bytes>> {
    let (sender, receiver) = channel(WAITING_PIECES);
    tokio::task::spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(PIECE_BYTES, Pieces(sender.clone()));
        if let Err(error) = write(&mut writer).and_then(|()| writer.flush()) {
            let _gone = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// What comes of a channel, as a stream.
pub fn stream<T>(mut receiver: Receiver<T>) -> impl Stream<Item = T> + Unpin {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// A reader of what comes.
pub struct Incoming<E> {
    pieces: Receiver<std::result::Result<Bytes, E>>,
    piece: Bytes,
}

impl<E: Error + Send + Sync + 'static> Incoming<E> {
    /// Of a stream, which is read no further once this is dropped.
    pub fn of(stream: impl Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static) -> Self {
        Self::reading(stream, false)
    }

    /// Of one that somebody sends: it is read to its end also when this is dropped, so that who still sends hears why it was refused.
    pub fn of_upload(stream: impl Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static) -> Self {
        Self::reading(stream, true)
    }

    fn reading(mut stream: impl Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin + 'static, to_its_end: bool) -> Self {
        let (sender, pieces) = channel(WAITING_PIECES);
        tokio::spawn(async move {
            while let Some(piece) = stream.next().await {
                if sender.send(piece).await.is_err() && !to_its_end {
                    return;
                }
            }
        });
        Self { pieces, piece: Bytes::new() }
    }
}

impl<E: Error + Send + Sync + 'static> Read for Incoming<E> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece.map_err(std::io::Error::other)?,
                None => return Ok(0),
            }
        }
        let some = self.piece.split_to(into.len().min(self.piece.len()));
        into.get_mut(..some.len()).unwrap_or_default().copy_from_slice(&some);
        Ok(some.len())
    }
}
