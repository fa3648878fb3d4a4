//! A message of the [`schema`](super::schema) as JSON, as Go would write it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ProtobufError;
use super::schema::{Count, Field, Message, SCHEMA, What};
use super::wire::{Fields, Wire, varint};

/// Messages within messages; a Pod of a Deployment has some ten.
const DEPTH: u32 = 32;

/// Reads a message into `object`.
pub(super) fn message(
    of: &Message,
    bytes: &[u8],
    depth: u32,
    object: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    if depth > DEPTH {
        return Err(ProtobufError::Malformed);
    }
    for field in Fields::of(bytes) {
        let (number, wire) = field?;
        // A newer client knows more.
        let Some(field) = of.iter().find(|field| field.number == number) else { continue };
        match (field.name, field.count, field.what) {
            (None, _, What::Message(name)) => {
                message(named(name)?, bytes_of(wire)?, depth + 1, object)?;
            }
            (None, ..) => return Err(ProtobufError::Malformed),
            (Some(name), Count::One, _) => {
                if let Some(value) = one(field, wire, depth)? {
                    object.insert(name.to_owned(), value);
                }
            }
            (Some(name), Count::List, _) => {
                let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    items(field, wire, depth, list)?;
                }
            }
            (Some(name), Count::ByName, _) => {
                let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    entry(field, wire, depth, map)?;
                }
            }
        }
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static Message, ProtobufError> {
    SCHEMA.get(name).ok_or(ProtobufError::Malformed)
}

/// The value of a field that is there once; nothing when JSON would have nothing there.
fn one(field: &Field, wire: Wire<'_>, depth: u32) -> Result<Option<Value>, ProtobufError> {
    let value = value(field.what, wire, depth)?;
    let zero = match &value {
        Value::Null => true,
        Value::Bool(value) => field.not_when_zero && !value,
        Value::Number(value) => field.not_when_zero && value.as_i64() == Some(0),
        Value::String(value) => field.not_when_zero && value.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    };
    Ok((!zero).then_some(value))
}

/// One item, or several integers in one piece.
fn items(
    field: &Field,
    wire: Wire<'_>,
    depth: u32,
    list: &mut Vec<Value>,
) -> Result<(), ProtobufError> {
    if let (What::Integer, Wire::Bytes(mut rest)) = (field.what, wire) {
        while !rest.is_empty() {
            let (number, after) = varint(rest).ok_or(ProtobufError::Malformed)?;
            list.push(value(What::Integer, Wire::Number(number), depth)?);
            rest = after;
        }
    } else {
        list.push(value(field.what, wire, depth)?);
    }
    Ok(())
}

/// One entry of a map: a message of key and value.
fn entry(
    field: &Field,
    wire: Wire<'_>,
    depth: u32,
    map: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    let mut key = String::new();
    let mut found = None;
    for part in Fields::of(bytes_of(wire)?) {
        match part? {
            (1, wire) => key = text(bytes_of(wire)?)?,
            (2, wire) => found = Some(value(field.what, wire, depth + 1)?),
            _ => {}
        }
    }
    let empty = || value(field.what, Wire::Bytes(&[]), depth + 1);
    map.insert(key, found.map_or_else(empty, Ok)?);
    Ok(())
}

fn value(what: What, wire: Wire<'_>, depth: u32) -> Result<Value, ProtobufError> {
    Ok(match (what, wire) {
        (What::Bool, Wire::Number(number)) => (number != 0).into(),
        // In two's complement.
        (What::Integer, Wire::Number(number)) => number.cast_signed().into(),
        (What::Text, Wire::Bytes(bytes)) => text(bytes)?.into(),
        (What::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (What::Quantity, Wire::Bytes(bytes)) => {
            let text = part(bytes, 1)?.map(bytes_of).transpose()?.map(text).transpose()?;
            text.map_or(Value::Null, Value::from)
        }
        (What::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (What::Time { micro }, Wire::Bytes(bytes)) => time(bytes, micro)?,
        (What::Json, Wire::Bytes(bytes)) => match part(bytes, 1)? {
            None => Value::Null,
            Some(wire) => {
                serde_json::from_slice(bytes_of(wire)?).map_err(|_| ProtobufError::Malformed)?
            }
        },
        (What::Texts, Wire::Bytes(bytes)) => {
            let texts = Fields::of(bytes).map(|field| text(bytes_of(field?.1)?).map(Value::from));
            Value::Array(texts.collect::<Result<_, _>>()?)
        }
        (What::Message(name), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            message(named(name)?, bytes, depth + 1, &mut object)?;
            Value::Object(object)
        }
        _ => return Err(ProtobufError::Malformed),
    })
}

/// `{type: 0 or 1, intVal, strVal}`.
fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if matches!(part(bytes, 1)?, Some(Wire::Number(1))) {
        return Ok(part(bytes, 3)?
            .map(bytes_of)
            .transpose()?
            .map_or(Ok(String::new()), text)?
            .into());
    }
    match part(bytes, 2)? {
        None => Ok(0.into()),
        Some(wire) => value(What::Integer, wire, 0),
    }
}

/// `{seconds, nanos}` since 1970. Nothing is a time that was never set.
fn time(bytes: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let number = |wire: Option<Wire<'_>>| match wire {
        Some(Wire::Number(number)) => Ok(number.cast_signed()),
        None => Ok(0),
        Some(_) => Err(ProtobufError::Malformed),
    };
    let (seconds, nanos) = (number(part(bytes, 1)?)?, number(part(bytes, 2)?)?);
    let nanos = i32::try_from(nanos).map_err(|_| ProtobufError::Malformed)?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Malformed)?;
    let precision = if micro { 6 } else { 0 };
    Ok(format!("{time:.precision$}").into())
}

/// The last field with a number.
fn part(message: &[u8], number: u32) -> Result<Option<Wire<'_>>, ProtobufError> {
    let mut found = None;
    for field in Fields::of(message) {
        let (this, wire) = field?;
        if this == number {
            found = Some(wire);
        }
    }
    Ok(found)
}

pub(super) fn bytes_of(wire: Wire<'_>) -> Result<&[u8], ProtobufError> {
    if let Wire::Bytes(bytes) = wire { Ok(bytes) } else { Err(ProtobufError::Malformed) }
}

pub(super) fn text(bytes: &[u8]) -> Result<String, ProtobufError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProtobufError::Malformed)?;
    Ok(text.to_owned())
}
