//! JSON on its way to a client, in pieces: small parts are put together, and an object that is long
//! stays the one copy that everybody shares.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::limits;

/// What is to be sent next.
#[derive(Default)]
pub(super) struct Pieces {
    ready: VecDeque<Bytes>,
    last: BytesMut,
    length: usize,
}

impl Pieces {
    /// Adds text by copying it.
    pub(super) fn copy(&mut self, text: &[u8]) {
        self.length += text.len();
        self.last.extend_from_slice(text);
    }

    /// Adds text, as it is when it is long.
    pub(super) fn share(&mut self, text: &Bytes) {
        if text.len() < limits::SHARED_BYTES {
            self.copy(text);
            return;
        }
        self.length += text.len();
        self.close();
        self.ready.push_back(text.clone());
    }

    /// Whether there is enough to be sent at once.
    pub(super) fn is_full(&self) -> bool {
        self.length >= limits::CHUNK_BYTES
    }

    /// The next piece, none when all are taken.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.close();
        let piece = self.ready.pop_front()?;
        self.length -= piece.len();
        Some(piece)
    }

    fn close(&mut self) {
        if !self.last.is_empty() {
            self.ready.push_back(self.last.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_not_copied() {
        let long = Bytes::from(vec![b'x'; limits::SHARED_BYTES]);
        let mut pieces = Pieces::default();
        pieces.copy(b"[");
        pieces.share(&Bytes::from_static(b"1,"));
        pieces.share(&long);
        pieces.copy(b"]");
        assert!(!pieces.is_full());
        let taken: Vec<_> = std::iter::from_fn(|| pieces.take()).collect();
        assert_eq!(taken, [Bytes::from_static(b"[1,"), long.clone(), Bytes::from_static(b"]")]);
        assert_eq!(taken[1].as_ptr(), long.as_ptr());
        assert_eq!(pieces.length, 0);
    }
}
