//! Protocol Buffers as they are encoded: numbered fields of four forms
//! (protobuf.dev/programming-guides/encoding).

use super::ProtobufError;

/// One field's number and what stands there.
pub(in crate::apiserver::http) type Numbered<'a> = (u32, Wire<'a>);

/// What stands in a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::apiserver::http) enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Fixed 32 or 64 bits: nothing in this API has it.
    Fixed,
}

/// Fields of a message, in order.
pub(in crate::apiserver::http) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(in crate::apiserver::http) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<Numbered<'a>, ProtobufError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Malformed)?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => self.take(8).map(|_| Wire::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Wire::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Wire::Fixed)?,
            _ => return Err(ProtobufError::Malformed),
        };
        Ok((number, wire))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let (value, rest) = varint(self.rest).ok_or(ProtobufError::Malformed)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Numbered<'a>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Seven bits a byte, the lowest first, and what follows it.
pub(in crate::apiserver::http) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_order() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4];
        let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields, [(1, Wire::Number(150)), (2, Wire::Bytes(b"hi")), (3, Wire::Fixed)]);
    }

    #[test]
    fn what_breaks_off_is_an_error_once() {
        for message in [&[0x08][..], &[0x12, 0x05, b'a'], &[0x80; 12], &[0x0b], &[0x19, 0]] {
            let fields: Vec<_> = Fields::of(message).collect();
            assert_eq!(fields.len(), 1, "{message:?}");
            assert!(fields[0].is_err());
        }
        let negative = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&negative), Some((u64::MAX, &[][..])));
    }
}
