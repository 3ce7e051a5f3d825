//! Pure controllers: functions from inputs to outputs.

use super::input::{Input, Inputs, Reads, View};
use super::output::{Applied, OutputSets};
use crate::store::{Store, StoreError};

/// What a derivation may return: outputs, or a result with outputs.
#[doc(hidden)]
pub trait DeriveResult: Send + 'static {
    type Sets: OutputSets;
    fn into_sets(self) -> anyhow::Result<Self::Sets>;
}

impl<T: OutputSets> DeriveResult for T {
    type Sets = T;
    fn into_sets(self) -> anyhow::Result<T> {
        Ok(self)
    }
}

impl<T: OutputSets, E: Into<anyhow::Error> + Send + 'static> DeriveResult for Result<T, E> {
    type Sets = T;
    fn into_sets(self) -> anyhow::Result<T> {
        self.map_err(Into::into)
    }
}

/// A pure controller: no I/O, no clock. Implemented for every function of [inputs](Input) that returns
/// [`Outputs`](crate::Outputs), a tuple of them, or a `Result` with either; nobody implements it by hand.
pub trait Derive<Args>: Send + Sync + 'static {
    /// The inputs.
    #[doc(hidden)]
    type Inputs: Inputs;
    /// The outputs.
    #[doc(hidden)]
    type Sets: OutputSets;
    /// Calls the function.
    #[doc(hidden)]
    fn call(&self, inputs: Self::Inputs) -> anyhow::Result<Self::Sets>;
}

macro_rules! derive_for_functions {
    ($($input:ident)+) => {
        impl<Call, R, $($input),+> Derive<($($input,)+)> for Call
        where
            Call: Fn($($input),+) -> R + Send + Sync + 'static,
            R: DeriveResult,
            $($input: Input),+
        {
            type Inputs = ($($input,)+);
            type Sets = R::Sets;
            #[allow(non_snake_case)]
            fn call(&self, ($($input,)+): Self::Inputs) -> anyhow::Result<R::Sets> {
                self($($input),+).into_sets()
            }
        }
    };
}
derive_for_functions!(A);
derive_for_functions!(A B);
derive_for_functions!(A B C);
derive_for_functions!(A B C D);
derive_for_functions!(A B C D E);
derive_for_functions!(A B C D E F);
derive_for_functions!(A B C D E F G);
derive_for_functions!(A B C D E F G H);

/// A derivation whose types are known to itself only.
pub(super) trait DeriveNode: Send + Sync {
    fn reads(&self) -> Vec<Reads>;
    fn writes(&self) -> Vec<Reads>;
    fn register(&self, store: &Store);
    /// Reads, calls, writes. The error of the function leaves the outputs as they are.
    fn run(&self, store: &Store, owner: &str) -> anyhow::Result<Applied>;
}

pub(super) struct Function<D, Args>(pub D, pub std::marker::PhantomData<fn(Args)>);

impl<Args: 'static, D: Derive<Args>> DeriveNode for Function<D, Args> {
    fn reads(&self) -> Vec<Reads> {
        D::Inputs::all_reads()
    }

    fn writes(&self) -> Vec<Reads> {
        D::Sets::writes()
    }

    fn register(&self, store: &Store) {
        D::Inputs::register_all(store);
        D::Sets::register(store);
    }

    fn run(&self, store: &Store, owner: &str) -> anyhow::Result<Applied> {
        let inputs = D::Inputs::fetch_all(&View(&store.state()));
        let (sets, cause) = match inputs {
            Some(inputs) => (self.0.call(inputs)?, "derived"),
            None => (D::Sets::default(), "an input is missing"),
        };
        sets.apply(store, owner, cause)
            .map_err(|error: StoreError| error.into())
    }
}
