//! How a type that is written as text stands in the API's document.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};

/// A string of this form.
pub(super) fn text(pattern: &str, example: &str, says: &str) -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(says))
        .pattern(Some(pattern))
        .examples([example]);
    Schema::Object(text.build())
}

/// A string of a known format (`uuid`, `date-time`).
pub(super) fn format(format: &str, example: &str, says: &str) -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(says))
        .format(Some(SchemaFormat::Custom(format.to_owned())))
        .examples([example]);
    Schema::Object(text.build())
}

/// One of these words.
pub(super) fn word(words: impl Iterator<Item = &'static str>) -> Schema {
    let word = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.collect::<Vec<_>>()));
    Schema::Object(word.build())
}

/// Says how a type is described.
macro_rules! described {
    ($name:ident, $schema:expr) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> ::std::borrow::Cow<'static, str> {
                $crate::domain::schema::name(stringify!($name))
            }
        }
    };
}
pub(super) use described;

pub(super) const fn name(name: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(name)
}
