//! Reading and writing fields of JSON whose form somebody else decides: what is not there is null, and what is no object takes
//! no fields.

use serde_json::Value;

pub(crate) trait Json {
    /// A field; null where there is none.
    fn at(&self, key: &str) -> &Value;
    /// Puts a field into an object; anything else stays as it is.
    fn put(&mut self, key: &str, value: impl Into<Value>);
    /// Takes a field's value out and leaves null.
    fn pull(&mut self, key: &str) -> Value;
    /// The field `type`; empty where there is none.
    fn kind(&self) -> &str;
}

impl Json for Value {
    fn at(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&Value::Null)
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(fields) = self.as_object_mut() {
            fields.insert(key.to_string(), value.into());
        }
    }

    fn pull(&mut self, key: &str) -> Value {
        self.get_mut(key).map(Value::take).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.at("type").as_str().unwrap_or_default()
    }
}
