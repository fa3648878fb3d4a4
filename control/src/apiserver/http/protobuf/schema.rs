//! The messages of `schema.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Fields of one message.
pub(super) type Message = Vec<Field>;

/// A field of a message.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON; `None` when its own fields stand in its place.
    pub(super) name: Option<&'static str>,
    /// Whether it is left out of the JSON when it is zero: Go writes those on the wire that were
    /// never set.
    pub(super) not_when_zero: bool,
    pub(super) count: Count,
    pub(super) what: What,
}

/// How many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    One,
    List,
    /// An object whose keys are not known beforehand.
    ByName,
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Text,
    Bool,
    Integer,
    /// Base64 in JSON.
    Bytes,
    /// Text in JSON.
    Quantity,
    /// A number or text in JSON.
    IntOrString,
    /// RFC 3339 in JSON, to seconds or to microseconds.
    Time {
        micro: bool,
    },
    /// JSON inside of a message.
    Json,
    /// A list of text inside of a message.
    Texts,
    /// Its name in [`SCHEMA`].
    Message(&'static str),
}

/// Every message by its name.
pub(super) static SCHEMA: LazyLock<HashMap<&'static str, Message>> =
    LazyLock::new(|| parse(include_str!("schema.txt")));

fn parse(text: &'static str) -> HashMap<&'static str, Message> {
    let mut messages = HashMap::<_, Message>::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => {
                current = line;
                messages.entry(line).or_default();
            }
            Some(line) => {
                let field = field(line);
                messages.entry(current).or_default().extend(field);
            }
        }
    }
    messages
}

/// `1 metadata ?meta.ObjectMeta`. A test makes sure that every line is one.
fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "~");
    let word = words.next()?;
    let (not_when_zero, word) = match word.strip_prefix('?') {
        Some(word) => (true, word),
        None => (false, word.trim_start_matches('*')),
    };
    let (count, word) = if let Some(word) = word.strip_prefix("[]") {
        (Count::List, word)
    } else if let Some(word) = word.strip_prefix("{}") {
        (Count::ByName, word)
    } else {
        (Count::One, word)
    };
    let what = match word {
        "string" => What::Text,
        "bool" => What::Bool,
        "int32" | "int64" => What::Integer,
        "bytes" => What::Bytes,
        "Quantity" => What::Quantity,
        "IntOrString" => What::IntOrString,
        "Time" => What::Time { micro: false },
        "MicroTime" => What::Time { micro: true },
        "FieldsV1" => What::Json,
        "Items" => What::Texts,
        message => What::Message(message),
    };
    Some(Field { number, name, not_when_zero, count, what })
}
