//! Templates of messages: Jinja, in which a value is always escaped for where it is put.
//!
//! Contract: what is wrong with a template is found when it is loaded, with line and column: it is tried on a sample of everything
//! that there may be. It reaches no file, no other template and no environment, and comes to an end: fuel bounds its steps and what it writes.

use super::text::chat;
use minijinja::{Environment, Error, Output, State, UndefinedBehavior, Value};

/// The most that a template may do: far more than a message needs.
const FUEL: u64 = 200_000;
/// The longest template.
const LONGEST: usize = 16 << 10;

/// What a template makes, which says how values are escaped in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    /// A text for a chat: what an object is called cannot mention anybody or be a link.
    SlackText,
    /// A JSON document: each value is put in as JSON, a text with its quotes.
    Json,
}

/// A template that has been tried.
#[derive(Debug, Clone)]
pub(super) struct Template {
    environment: Environment<'static>,
    source: String,
    makes: Makes,
}

impl Template {
    /// Takes a template, if it can make something of each of these samples.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn new(source: &str, makes: Makes, samples: &[Value]) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err(format!("it has {} bytes, and {LONGEST} are the most", source.len()));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        match makes {
            Makes::SlackText => environment.set_formatter(escaped),
            Makes::Json => environment.set_formatter(as_json),
        }
        let template = Self { environment, source: source.to_owned(), makes };
        for sample in samples {
            template.render(sample.clone())?;
        }
        Ok(template)
    }

    /// Whether it uses this field.
    pub(super) fn uses(&self, field: &str) -> bool {
        self.environment.template_from_str(&self.source).is_ok_and(|template| template.undeclared_variables(false).contains(field))
    }

    /// What it makes of this.
    ///
    /// # Errors
    /// What is wrong, and where in the template.
    pub(super) fn render(&self, context: Value) -> Result<String, String> {
        let made = self.environment.render_str(&self.source, context).map_err(|error| told(&error, &self.source))?;
        if self.makes == Makes::Json {
            serde_json::from_str::<serde_json::Value>(&made).map_err(|error| format!("what it makes is no JSON: {error}"))?;
        }
        Ok(made)
    }
}

fn told(error: &Error, source: &str) -> String {
    let place = match (error.line(), error.range()) {
        (Some(line), Some(range)) => {
            let before = source.get(..range.start).unwrap_or_default();
            let column = before.chars().rev().take_while(|letter| *letter != '\n').count().saturating_add(1);
            format!("line {line}, column {column}: ")
        }
        (Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    };
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{place}{}{detail}", error.kind())
}

fn failed(_: impl std::error::Error) -> Error {
    Error::new(minijinja::ErrorKind::BadSerialization, "the value cannot be written")
}

fn as_json(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    out.write_str(&serde_json::to_string(value).map_err(failed)?).map_err(failed)
}

fn escaped(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    // A mention that the operator has configured is one.
    if value.is_safe() {
        return out.write_str(&value.to_string()).map_err(failed);
    }
    out.write_str(&chat(&value.to_string())).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        Value::from(minijinja::value::Serde(json!({"text": "a <!channel> & \"b\"", "count": 2, "notices": [{"code": "A"}, {"code": "B"}]})))
    }

    fn made(source: &str, makes: Makes) -> Result<String, String> {
        Template::new(source, makes, &[sample()])?.render(sample())
    }

    #[test]
    fn values_are_escaped_for_where_they_are_put() {
        assert_eq!(made("*{{ text }}* <https://docs>", Makes::SlackText).unwrap(), "*a &lt;!channel&gt; &amp; \"b\"* <https://docs>");
        assert_eq!(made(r#"{"t": {{ text }}, "n": {{ count }}}"#, Makes::Json).unwrap(), r#"{"t": "a <!channel> & \"b\"", "n": 2}"#);
        let listed = made("{% for one in notices %}{{ one.code }}{% if not loop.last %}, {% endif %}{% endfor %}", Makes::SlackText);
        assert_eq!(listed.unwrap(), "A, B");
    }

    #[test]
    fn what_is_wrong_is_found_when_it_is_loaded_with_its_place() {
        let error = made("one\n  {{ txet }}", Makes::SlackText).unwrap_err();
        assert!(error.starts_with("line 2, column "), "{error}");
        let error = made("{% for x in %}", Makes::SlackText).unwrap_err();
        assert!(error.starts_with("line 1"), "{error}");
        assert!(made(r#"{"t": "{{ text }}"}"#, Makes::Json).unwrap_err().contains("no JSON"));
        assert!(made("{% include 'x' %}", Makes::SlackText).is_err());
        assert!(made("{% for a in notices %}{{ a.no }}{% endfor %}", Makes::SlackText).is_err());
        assert!(made(&"x".repeat(LONGEST + 1), Makes::SlackText).is_err());
    }

    #[test]
    fn it_comes_to_an_end() {
        let many = Value::from(minijinja::value::Serde(json!({"all": vec![0; 1_000]})));
        let endless = "{% for a in all %}{% for b in all %}{% for c in all %}x{% endfor %}{% endfor %}{% endfor %}";
        assert!(Template::new(endless, Makes::SlackText, &[many]).unwrap_err().contains("fuel"));
    }
}
