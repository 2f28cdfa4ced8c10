//! The texts of a stack as JSON Schema: patterns for what the decoder accepts, which editors can check.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::marker::PhantomData;

/// An octet of an address.
const OCTET: &str = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema($schema)
            }
        }
    )*};
}

fn schema(value: Value) -> Schema {
    value.try_into().unwrap_or_else(|_| json_schema!({}))
}

fn pattern(text: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{text}$") })
}

fn address() -> String {
    format!(r"{OCTET}(\.{OCTET}){{3}}")
}

/// A text with a pattern, or a whole number if that is a short form of it.
fn or_number(text: &str, least: u32) -> Value {
    json!({ "anyOf": [pattern(text), { "type": "integer", "minimum": least }] })
}

texts! {
    /// Any scalar: numbers and words of YAML are texts.
    Word = json!({ "type": ["string", "number", "boolean"] });
    Address = pattern(&address());
    Cidr = pattern(&format!("{}/([0-9]|[12][0-9]|3[0-2])", address()));
    CidrOrAddress = pattern(&format!("{}(/([0-9]|[12][0-9]|3[0-2]))?", address()));
    RangeText = pattern(&format!("{0} *- *{0}", address()));
    Name = pattern("[a-z][a-z0-9-]{0,30}");
    Domain = pattern(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*");
    Label = pattern("[a-z0-9_]([a-z0-9_-]{0,55}[a-z0-9_])?");
    Ssh = pattern(r"([A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9._][A-Za-z0-9._-]*(:[0-9]{1,5})?");
    Device = pattern(r"[A-Za-z0-9_@][A-Za-z0-9._@-]{0,14}");
    SizeText = or_number("[0-9]*[1-9][0-9]*[KMGT]?", 1);
    DurationText = pattern("[0-9]+[smhdy]");
    SignalText = json!({ "anyOf": [pattern(&crate::value::signals()), { "type": "integer", "minimum": 1, "maximum": 64 }] });
    CpusText = json!({ "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, pattern(r"[0-9]+(\.[0-9]{1,3})?")] });
    HttpText = pattern(r"(:[0-9]{1,5})?/\S*|:[0-9]{1,5}");
    BannerText = pattern(r"[0-9]{1,5}:.+");
    PortText = json!({ "anyOf": [pattern("[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp))?"), { "type": "integer", "minimum": 1, "maximum": 65535 }] });
    PortOrRange = json!({ "anyOf": [pattern("[0-9]{1,5}(-[0-9]{1,5})?"), { "type": "integer", "minimum": 1, "maximum": 65535 }] });
    PortMapText = json!({ "anyOf": [pattern("[0-9]{1,5}(-[0-9]{1,5})?(:[0-9]{1,5}(-[0-9]{1,5})?)?(/(tcp|udp))?"), { "type": "integer", "minimum": 1, "maximum": 65535 }] });
    SelectText = pattern(&format!(
        r"(\*|[a-z][a-z0-9-]{{0,30}}|(instance|host)/[a-z][a-z0-9-]{{0,30}}|{}(/([0-9]|[12][0-9]|3[0-2]))?)", address()
    ));
    AbsolutePath = json!({ "type": "string", "pattern": "^/", "not": { "pattern": r"(^|/)\.\.(/|$)" } });
    Source = json!({ "type": ["string", "number"], "minLength": 1 });
    FileMode = or_number("[0-7]{3,4}", 0);
    SecretText = pattern(r"((file|age):.+|yaml:.+#[^#]+|derive(:[1-9][0-9]{0,9})?)");
    MaybeWord = json!({ "type": ["string", "number", "boolean", "null"] });
    HostName = pattern(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*");
    UrlPath = pattern("/[!$-;=@-Z\\[\\]^_a-~]*");
    UrlText = pattern("https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!$-;=@-Z\\[\\]^_a-~]*)?");
    Ipv6Text = pattern("[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*");
    MacText = pattern("[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}");
    RecordName = pattern(r"(@|\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,148}[a-z0-9_])?)");
    Target = pattern(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?");
    MxText = pattern(r"[0-9]{1,5} [a-z0-9_.-]+");
    SrvText = pattern(r"[0-9]{1,5} [0-9]{1,5} [0-9]{1,5} [a-z0-9_.-]+");
    CaaText = pattern(r"[0-9]{1,3} [a-z0-9]{1,15} [ -~]*");
    PaceText = pattern("([0-9]*[1-9][0-9]*[smhdy]|off)");
    RateText = pattern("[0-9]*[1-9][0-9]*/[smhd]");
    ClockText = pattern("([01][0-9]|2[0-3]):[0-5][0-9]");
    BeneficiaryText = pattern("((balance|instance|host)/[a-z][a-z0-9-]{0,30}|store)");
    BorrowerText = pattern("(instance|host)/[a-z][a-z0-9-]{0,30}");
    BucketName = pattern("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]");
    RepositoryText = pattern("(sftp|rest|s3|local):.+");
    QuiesceWord = json!({ "enum": ["none", "freeze", "stop"] });
    PercentText = pattern("(100|[1-9][0-9]?)%");
    SchemaName = json!({ "const": "lsx.stack/1" });
    Anything = json!(true);
}

/// A whole number within bounds, or its digits.
pub(crate) struct Int<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> JsonSchema for Int<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Int{LEAST}to{MOST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(
            json!({ "anyOf": [{ "type": "integer", "minimum": LEAST, "maximum": MOST }, pattern("[0-9]+")] }),
        )
    }
}

/// A port.
pub(crate) type Port = Int<1, 65535>;

/// A short or the long form.
pub(crate) struct Short<S, L>(PhantomData<(S, L)>);

impl<S: JsonSchema, L: JsonSchema> JsonSchema for Short<S, L> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", S::schema_name(), L::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (generator.subschema_for::<S>(), generator.subschema_for::<L>());
        json_schema!({ "anyOf": [short, long] })
    }
}

/// One value or a list of them.
pub(crate) type Many<T> = Short<T, Vec<T>>;

/// A map with validated names; `LABELS` also allows names that never become host names.
pub(crate) struct Map<T, const LABELS: bool>(PhantomData<T>);

/// A map with names.
pub(crate) type Named<T> = Map<T, false>;
/// A map with names that may also have capitals, dots and underscores.
pub(crate) type Labelled<T> = Map<T, true>;

impl<T: JsonSchema, const LABELS: bool> JsonSchema for Map<T, LABELS> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names = if LABELS {
            pattern("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
        } else {
            json!({ "pattern": "^[a-z][a-z0-9-]{0,30}$", "not": { "enum": ["world", "host", "instance"] } })
        };
        let values = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "propertyNames": names, "additionalProperties": values })
    }
}

/// A map of texts, such as an environment.
pub(crate) struct Pairs;

/// A map by names of shell variables.
pub(crate) struct Variables<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Variables<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("VariablesOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": values
        })
    }
}

impl JsonSchema for Pairs {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Pairs".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] }
        })
    }
}
