//! JSON into typed objects, and which field is to blame when that fails.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a typed object; otherwise the path of the field that is wrong, and why.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
    T::deserialize(value).map_err(|error| located::<T>(value, &error))
}

/// The path of the field that an error is about, and the error.
pub(crate) fn located<T: DeserializeOwned>(
    value: &Value,
    error: &serde_json::Error,
) -> (String, String) {
    let message = error.to_string();
    let path = culprit::<T>(&mut value.clone(), &message).unwrap_or_default();
    (path, message)
}

/// Finds the field that an error is about: the smallest one without which the object can be read,
/// or at least has another error. serde's errors do not say, and this is done only for them.
fn culprit<T: DeserializeOwned>(value: &mut Value, message: &str) -> Option<String> {
    let (mut pointer, mut path) = (String::new(), String::new());
    loop {
        let steps = steps(value.pointer(&pointer)?);
        let mut outcomes = steps.into_iter().filter(|step| !step.is_type(&pointer)).map(|step| {
            let error = without::<T>(value, &pointer, &step);
            (step, error)
        });
        let mut another = None;
        let fixed = outcomes.find_map(|(step, error)| match error {
            None => Some(step),
            Some(error) => {
                another = another.take().or((error != message).then_some(step));
                None
            }
        });
        let Some(step) = fixed.or(another) else { break };
        step.extend(&mut pointer, &mut path);
    }
    let path = path.trim_start_matches('.').to_owned();
    (!path.is_empty()).then_some(path)
}

/// One step down into a value.
enum Step {
    Field(String),
    Item(usize),
}

impl Step {
    /// Whether it leads to what makes an object readable at all.
    fn is_type(&self, parent: &str) -> bool {
        matches!(self, Self::Field(name) if parent.is_empty() && (name == "apiVersion" || name == "kind"))
    }

    /// Appends the step to a JSON pointer (RFC 6901) and to a path as Kubernetes writes it.
    fn extend(&self, pointer: &mut String, path: &mut String) {
        let (key, shown) = match self {
            Self::Field(name) => (name.replace('~', "~0").replace('/', "~1"), format!(".{name}")),
            Self::Item(index) => (index.to_string(), format!("[{index}]")),
        };
        pointer.push('/');
        pointer.push_str(&key);
        path.push_str(&shown);
    }
}

fn steps(value: &Value) -> Vec<Step> {
    match value {
        Value::Object(fields) => fields.keys().cloned().map(Step::Field).collect(),
        Value::Array(items) => (0..items.len()).map(Step::Item).collect(),
        _ => Vec::new(),
    }
}

/// The error that is left when one field is absent.
fn without<T: DeserializeOwned>(value: &mut Value, pointer: &str, step: &Step) -> Option<String> {
    let whole = value.pointer(pointer)?.clone();
    match (value.pointer_mut(pointer)?, step) {
        (Value::Object(fields), Step::Field(name)) => drop(fields.remove(name)),
        (Value::Array(items), Step::Item(index)) => drop(items.remove(*index)),
        _ => {}
    }
    let error = T::deserialize(&*value).err().map(|error| error.to_string());
    *value.pointer_mut(pointer)? = whole;
    error
}
