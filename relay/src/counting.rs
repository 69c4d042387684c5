//! What the counters of a shard have in common: each has a name, which dashboards and alerts use,
//! and a sentence that says what it counts. Both are said once, where the counter is declared.

/// What one count is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Something happened.
    Event,
    /// A received packet went no further.
    Dropped,
    /// A received packet came to its end as it should.
    Handled,
    /// A packet could not be sent.
    Unsent,
}

/// A counter, for those who watch it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Its stable name.
    pub name: &'static str,
    /// What it counts, as it is documented.
    pub says: &'static str,
    /// What one count is.
    pub kind: Kind,
}

/// Declares a struct of counters that knows the name of each, what it says, and its kind.
macro_rules! counters {
    ($(#[$doc:meta])* $vis:vis $name:ident {
        $($(#[doc = $says:literal])+ $field:ident: $kind:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        $vis struct $name {
            $($(#[doc = $says])+ $vis $field: u64,)*
        }

        impl $name {
            /// Each counter, in the order of [`values`](Self::values).
            $vis const COUNTED: &'static [$crate::counting::Counted] = &[$(
                $crate::counting::Counted {
                    name: stringify!($field),
                    says: concat!($($says),+),
                    kind: $crate::counting::Kind::$kind,
                }
            ),*];

            /// Value of each counter.
            $vis fn values(&self) -> impl Iterator<Item = u64> + use<> {
                [$(self.$field),*].into_iter()
            }
        }
    };
}

pub(crate) use counters;
