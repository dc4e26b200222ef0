//! A helper for writing Cards: what equals its default is left out.

/// Whether a value is its type's default (for serde's `skip_serializing_if`).
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
