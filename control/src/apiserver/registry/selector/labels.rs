//! Label selectors as text: `app=web,tier in (front,back),!beta,cores>2`.

use serde_json::json;

use crate::apiserver::kinds::checks;

/// What one label must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Exists,
    DoesNotExist,
    /// Also `=` and `==`.
    In,
    /// Also `!=`.
    NotIn,
    GreaterThan,
    LessThan,
}

impl Requirement {
    /// Of which label.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether a label's value, if there is one, meets it.
    pub(super) fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|each| each == value);
        let compare = |value: Option<&str>| {
            let value: i64 = value?.parse().ok()?;
            let bound: i64 = self.values.first()?.parse().ok()?;
            Some(value.cmp(&bound))
        };
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::GreaterThan => compare(value).is_some_and(std::cmp::Ordering::is_gt),
            Operator::LessThan => compare(value).is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), next: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            "" => return Ok(requirements),
            token if !is_word(token) && token != "!" => {
                return Err(format!(
                    "found '{token}', expected: !, identifier, or 'end of string'"
                ));
            }
            _ => {}
        }
        let requirement = parser
            .requirement()
            .map_err(|error| format!("unable to parse requirement: {error}"))?;
        requirements.push(requirement);
        match parser.take() {
            "" => return Ok(requirements),
            "," => {
                let token = parser.peek();
                if !is_word(token) && token != "!" {
                    return Err(format!("found '{token}', expected: identifier after ','"));
                }
            }
            token => {
                return Err(format!("found '{token}', expected: ',' or 'end of string'"));
            }
        }
    }
}

/// Words and operators; at the end empty ones.
struct Parser<'a> {
    tokens: Vec<&'a str>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.next).copied().unwrap_or("")
    }

    fn take(&mut self) -> &'a str {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == "!";
        if absent {
            self.take();
        }
        let key = self.take();
        if !is_word(key) {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let wrong = checks::qualified_name(key);
        if !wrong.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", json!(key), wrong.join("; ")));
        }
        let (operator, values) = match (absent, self.peek()) {
            (true, _) => (Operator::DoesNotExist, Vec::new()),
            (false, "" | ",") => (Operator::Exists, Vec::new()),
            (false, _) => self.operator_and_values()?,
        };
        for (index, value) in values.iter().enumerate() {
            let compares = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            let mut wrong = checks::label_value(value);
            if compares && value.parse::<i64>().is_err() {
                wrong.push("for 'Gt', 'Lt' operators, the value must be an integer".to_owned());
            }
            if !wrong.is_empty() {
                let value = json!(value);
                let wrong = wrong.join("; ");
                return Err(format!("values[{index}][{key}]: Invalid value: {value}: {wrong}"));
            }
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn operator_and_values(&mut self) -> Result<(Operator, Vec<String>), String> {
        let operator = match self.take() {
            "in" => return Ok((Operator::In, self.list()?)),
            "notin" => return Ok((Operator::NotIn, self.list()?)),
            "=" | "==" => Operator::In,
            "!=" => Operator::NotIn,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            token => {
                return Err(format!("found '{token}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        let value = match self.peek() {
            "" | "," => "",
            token if is_word(token) => self.take(),
            token => return Err(format!("found '{token}', expected: identifier")),
        };
        Ok((operator, vec![value.to_owned()]))
    }

    /// `(a,b)`; what is missing between commas is the empty value.
    fn list(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != "(" {
            return Err(format!("found '{open}' expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            let value = if is_word(self.peek()) { self.take() } else { "" };
            values.push(value.to_owned());
            match self.take() {
                ")" => {
                    values.sort_unstable();
                    values.dedup();
                    return Ok(values);
                }
                "," => {}
                token => return Err(format!("found '{token}', expected: ',' or ')'")),
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    !token.is_empty() && !token.starts_with(is_special)
}

fn is_special(character: char) -> bool {
    "=!(),<>".contains(character)
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if is_special(first) {
            if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { 1 }
        } else {
            rest.find(|each| is_special(each) || char::is_whitespace(each)).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, labels: &[(&str, &str)]) -> Result<bool, String> {
        let value =
            |key: &str| labels.iter().find(|(each, _)| *each == key).map(|(_, value)| *value);
        Ok(parse(text)?.iter().all(|requirement| requirement.matches(value(requirement.key()))))
    }

    #[test]
    fn labels_are_selected_with_every_operator() {
        let labels = [("app", "web"), ("tier", "front"), ("cores", "4"), ("in", "x"), ("e", "")];
        for (text, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("! beta", true),
            ("app=web", true),
            ("app == web , tier=front", true),
            ("app!=web", false),
            ("beta!=web", true),
            ("app in (web,api)", true),
            ("app in(api)", false),
            ("beta in (web)", false),
            ("app notin (web)", false),
            ("beta notin (web)", true),
            ("cores>3,cores<5", true),
            ("cores>4", false),
            ("app>1", false),
            ("in=x", true),
            ("in in (x)", true),
            ("app=", false),
            ("e=", true),
            ("e in ()", true),
            ("app in (web,)", true),
            ("e in (web,)", true),
        ] {
            assert_eq!(check(text, &labels), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_real_words() {
        for (text, expected) in [
            ("=web", "found '=', expected: !, identifier, or 'end of string'"),
            ("app,", "found '', expected: identifier after ','"),
            (
                "app web",
                "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("app in web", "unable to parse requirement: found 'web' expected: '('"),
            ("app in (web", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("app=web)", "found ')', expected: ',' or 'end of string'"),
            ("app=(", "unable to parse requirement: found '(', expected: identifier"),
            (
                "app>x",
                "unable to parse requirement: values[0][app]: Invalid value: \"x\": for 'Gt', 'Lt' \
                 operators, the value must be an integer",
            ),
        ] {
            assert_eq!(check(text, &[]), Err(expected.to_owned()), "{text}");
        }
        assert!(check("a//b", &[]).unwrap_err().contains("with an optional DNS subdomain prefix"));
        assert!(check("a=-", &[]).unwrap_err().contains("a valid label must be an empty string"));
    }
}
