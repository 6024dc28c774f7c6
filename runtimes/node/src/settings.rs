//! The machinery behind `config.rs`: one declaration makes the types, the strict reader and the reference.
//!
//! A key is declared as `name: Type = default, "unit", rule;` with its reason as documentation. The rule says
//! what a containerd handler's options may do to it; a value equal to the node's is always fine.

/// What the options of a containerd handler may do to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Narrowing {
    /// Nothing.
    Fixed,
    /// Make it smaller.
    Smaller,
    /// Leave out some of it.
    Subset,
    /// Switch it off.
    Off,
    /// Set it: it opens nothing.
    Free,
}

impl Narrowing {
    /// In words, for the reference.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Fixed => "no",
            Self::Smaller => "may be made smaller",
            Self::Subset => "may leave some out",
            Self::Off => "may be switched off",
            Self::Free => "may be set",
        }
    }
}

/// One key of the configuration, for the reference.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// As TOML.
    pub(crate) default: String,
    pub(crate) unit: &'static str,
    pub(crate) narrowing: Narrowing,
    /// What it does and why its default is what it is.
    pub(crate) about: &'static str,
}

/// One table of the configuration, for the reference.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: Vec<Key>,
}

/// The checks behind the rules: may this value replace that one?
pub(crate) mod rules {
    use super::Narrowing;

    /// A rule with the function that keeps it.
    pub(crate) type Rule<T> = (Narrowing, fn(&T, &T) -> bool);

    pub(crate) fn fixed<T>() -> Rule<T> {
        (Narrowing::Fixed, |_, _| false)
    }

    pub(crate) fn smaller<T: PartialOrd>() -> Rule<T> {
        (Narrowing::Smaller, |new, old| new <= old)
    }

    pub(crate) fn subset<T: PartialEq>() -> Rule<Vec<T>> {
        (Narrowing::Subset, |new, old| new.iter().all(|one| old.contains(one)))
    }

    pub(crate) fn off() -> Rule<bool> {
        (Narrowing::Off, |new, _| !new)
    }

    pub(crate) fn free<T>() -> Rule<T> {
        (Narrowing::Free, |_, _| true)
    }
}

macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr, $unit:literal, $rule:ident;
            )+
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $type, )+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $key: $default, )+ }
                }
            }
        )+

        /// The node's configuration, whole and checked. See `docs/configuration.md` for every key.
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
        pub struct Config {
            $( $(#[doc = $about])+ pub $section: $Section, )+
            /// What a handler's options say of the cgroup driver, by the key `SystemdCgroup` that runc's handler
            /// has too. The node's file says nothing of it.
            #[serde(skip)]
            pub systemd_cgroup: Option<bool>,
            /// The file it was read from, for messages.
            #[serde(skip)]
            pub(crate) file: std::path::PathBuf,
        }

        /// Every table and key, in the order of the reference.
        pub(crate) fn sections() -> Vec<crate::settings::Section> {
            vec![$( crate::settings::Section {
                name: stringify!($section),
                about: concat!($($about, "\n"),+),
                keys: vec![$( {
                    let rule: crate::settings::rules::Rule<$type> = crate::settings::rules::$rule();
                    let default: $type = $default;
                    crate::settings::Key {
                        name: stringify!($key),
                        default: crate::settings::written(&default),
                        unit: $unit,
                        narrowing: rule.0,
                        about: concat!($($doc, "\n"),+),
                    }
                } ),+],
            } ),+]
        }

        impl Config {
            /// Takes every value of `table`; with `narrowing`, only those that take something away.
            fn take(
                &mut self, mut table: toml::Table, origin: &str, narrowing: bool,
            ) -> Result<(), crate::ConfigError> {
                $(
                    if let Some(value) = table.remove(stringify!($section)) {
                        let toml::Value::Table(mut keys) = value else {
                            return Err(crate::ConfigError::NotATable {
                                origin: origin.into(), section: stringify!($section),
                            });
                        };
                        $(
                            if let Some(value) = keys.remove(stringify!($key)) {
                                let field = crate::settings::Field {
                                    key: concat!(stringify!($section), ".", stringify!($key)),
                                    unit: $unit,
                                    origin,
                                };
                                let rule = narrowing.then(crate::settings::rules::$rule);
                                field.replace(&mut self.$section.$key, value, rule)?;
                            }
                        )+
                        crate::settings::refuse_unknown(
                            &keys, Some(stringify!($section)), &[$( stringify!($key) ),+], origin,
                        )?;
                    }
                )+
                crate::settings::refuse_unknown(&table, None, &[$( stringify!($section) ),+], origin)
            }
        }
    };
}
pub(crate) use settings;

use crate::ConfigError;
use serde::{Serialize, de::DeserializeOwned};

/// A value as it would be written in the file.
pub(crate) fn written<T: Serialize>(value: &T) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// A key as messages speak of it.
pub(crate) struct Field<'a> {
    pub(crate) key: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) origin: &'a str,
}

impl Field<'_> {
    /// Puts a value in its place if it is one, and if the rule, where there is one, lets it.
    pub(crate) fn replace<T: Serialize + DeserializeOwned + PartialEq>(
        &self,
        place: &mut T,
        value: toml::Value,
        rule: Option<rules::Rule<T>>,
    ) -> Result<(), ConfigError> {
        let origin = || self.origin.to_owned();
        let new: T = value.try_into().map_err(|error: toml::de::Error| ConfigError::Value {
            origin: origin(),
            key: self.key,
            unit: self.unit,
            message: error.message().to_owned(),
        })?;
        if let Some((narrowing, may)) = rule
            && new != *place
            && !may(&new, place)
        {
            return Err(ConfigError::Widened {
                origin: origin(),
                key: self.key,
                wanted: written(&new),
                limit: format!("{} = {}", self.key, written(place)),
                remedy: match narrowing {
                    Narrowing::Fixed => "only the node's own file sets it".into(),
                    _ => format!("here it {}", narrowing.words()),
                },
            });
        }
        *place = new;
        Ok(())
    }
}

/// An error for the first key that is left over.
pub(crate) fn refuse_unknown(
    left: &toml::Table,
    section: Option<&str>,
    known: &[&str],
    origin: &str,
) -> Result<(), ConfigError> {
    let Some(key) = left.keys().next() else { return Ok(()) };
    Err(ConfigError::UnknownKey {
        origin: origin.into(),
        key: section.map_or_else(|| key.clone(), |section| format!("{section}.{key}")),
        place: section.map_or_else(|| "tables".into(), |section| format!("in [{section}]")),
        known: known.join(", "),
    })
}
