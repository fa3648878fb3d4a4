//! Columns of Tables, and what stands in their cells (k8s.io/kubernetes/pkg/printers).

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::apiserver::resource::Column;

/// What kubectl shows for nothing.
pub(super) const NONE: &str = "<none>";
/// What kubectl shows for what nobody said.
pub(super) const UNKNOWN: &str = "<unknown>";

/// The object's name.
pub(super) const NAME: Column = Column {
    format: "name",
    ..text("Name", "Name must be unique within a namespace.", |object, _| {
        str_at(object, "/metadata/name").into()
    })
};

/// How long the object has been there.
pub(super) const AGE: Column = text("Age", "Time since the object was created.", |object, now| {
    since(at(object, "/metadata/creationTimestamp"), now).into()
});

/// A column of strings.
pub(super) const fn text(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column { name, kind: "string", format: "", priority: 0, description, cell }
}

/// A column that is there with `-o wide` only.
pub(super) const fn wide(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column { priority: 1, ..text(name, description, cell) }
}

/// A column of numbers.
pub(super) const fn number(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column { kind: "integer", ..text(name, description, cell) }
}

/// The value at a JSON pointer; null where there is none.
pub(super) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

/// The string at a JSON pointer; empty where there is none.
pub(super) fn str_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).as_str().unwrap_or_default()
}

/// The number at a JSON pointer; 0 where there is none.
pub(super) fn int_at(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).as_i64().unwrap_or_default()
}

/// The list at a JSON pointer; empty where there is none.
pub(super) fn list_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The map at a JSON pointer.
pub(super) fn map_at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    at(object, pointer).as_object()
}

/// The strings at a JSON pointer, with commas.
pub(super) fn joined_at(object: &Value, pointer: &str) -> String {
    let texts: Vec<_> = list_at(object, pointer).iter().filter_map(Value::as_str).collect();
    texts.join(",")
}

/// The text, or `<none>`.
pub(super) fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

/// `labels.FormatLabels`: `app=web,tier=front`.
pub(super) fn labels_at(object: &Value, pointer: &str) -> String {
    let pairs: Vec<_> = map_at(object, pointer)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(&pairs.join(",")).to_owned()
}

/// `metav1.FormatLabelSelector`.
pub(super) fn selector_at(object: &Value, pointer: &str) -> String {
    let selector = at(object, pointer);
    let mut terms: Vec<(String, String)> = map_at(selector, "/matchLabels")
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for term in list_at(selector, "/matchExpressions") {
        let key = str_at(term, "/key").to_owned();
        let values = joined_at(term, "/values");
        let shown = match str_at(term, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        terms.push((key, shown));
    }
    terms.sort();
    let shown: Vec<_> = terms.into_iter().map(|(_, shown)| shown).collect();
    or_none(&shown.join(",")).to_owned()
}

/// Names and images of the containers of a Pod's specification.
pub(super) fn containers_at(object: &Value, pointer: &str, field: &str) -> String {
    let containers = list_at(object, pointer).iter();
    containers.map(|container| str_at(container, field)).collect::<Vec<_>>().join(",")
}

/// How long ago a time was: `translateTimestampSince`.
pub(super) fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => human_duration(now.as_second() - time.as_second()),
        None => UNKNOWN.to_owned(),
    }
}

/// `duration.HumanDuration`: two figures at most, as `5m30s`, `3h`, `2d4h`.
pub(super) fn human_duration(seconds: i64) -> String {
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2_920 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (190_000, "2d4h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (70_000_000, "2y80d"),
            (260_000_000, "8y"),
        ] {
            assert_eq!(human_duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn selectors_are_shown_in_order() {
        let object = json!({"s": {"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "c", "operator": "DoesNotExist"},
        ]}});
        assert_eq!(selector_at(&object, "/s"), "a in (x,y),b=1,!c");
        assert_eq!(selector_at(&object, "/t"), "<none>");
    }
}
