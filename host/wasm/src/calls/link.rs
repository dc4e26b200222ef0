//! What happens when a component calls a function that another Ente provides.
//!
//! The values are taken out of the caller, put into the provider's mailbox, and given to it: as bytes
//! ([`values`](super::values)), wherever the two are.

use super::binding::Unbound;
use super::peer::Peer;
use super::typed::{Function, TypedImport};
use super::values::direct::{Given, Taken};
use super::values::{Unfit, decode, encode, params as types_of, results};
use super::{Answer, Call, Work};
use crate::ctx::Ctx;
use crate::event::{Ask, EventKind, NoAnswer};
use arje_bus::{CallError, DEFAULT_DEADLINE, MAX_PAYLOAD};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{Error, Result, StoreContextMut};

/// Links every import to whoever provides it when it is called.
pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>, imports: &[Arc<TypedImport>]) -> Result<()> {
    for (index, import) in imports.iter().enumerate() {
        let mut instance = linker.instance(import.name())?;
        for (number, function) in import.functions().iter().enumerate() {
            let import = Arc::clone(import);
            let called = Called {
                import,
                index,
                number,
            };
            let some = usize::from(function.ty.results().len() > 0);
            let stack = function.way.stack.and_then(|stack| WRAPS.get(stack));
            let wrap = stack.map_or(by_vals as Wrap, |wraps| wraps[some]);
            wrap(&mut instance, &function.name, called)?;
        }
    }
    Ok(())
}

/// Which function is called: `number` of the import with this index.
#[derive(Clone)]
struct Called {
    import: Arc<TypedImport>,
    index: usize,
    number: usize,
}

type Wrap = fn(&mut LinkerInstance<'_, Ctx>, &str, Called) -> Result<()>;

/// For each number of parameters on the stack, without a result and with one. Each takes 3 KB of PID 1, so there is an end to
/// it before that of the stack, which has room for 16: few functions have more than 8, and what is slow for them is a large
/// `list<u8>` alone.
const WRAPS: [[Wrap; 2]; 9] = [
    [direct::<0, 0>, direct::<0, 1>],
    [direct::<1, 0>, direct::<1, 1>],
    [direct::<2, 0>, direct::<2, 1>],
    [direct::<3, 0>, direct::<3, 1>],
    [direct::<4, 0>, direct::<4, 1>],
    [direct::<5, 0>, direct::<5, 1>],
    [direct::<6, 0>, direct::<6, 1>],
    [direct::<7, 0>, direct::<7, 1>],
    [direct::<8, 0>, direct::<8, 1>],
];

/// A function with `P` values on the stack, and `R` results.
fn direct<const P: usize, const R: usize>(
    instance: &mut LinkerInstance<'_, Ctx>,
    name: &str,
    called: Called,
) -> Result<()> {
    instance.func_wrap_async(name, move |store, Taken::<P>(params)| {
        given::<R>(store, called.clone(), params)
    })
}

/// The same for any number of parameters: once in the program, and not 9 times.
fn given<'s, const R: usize>(
    store: StoreContextMut<'s, Ctx>,
    called: Called,
    params: Result<Vec<u8>, Unfit>,
) -> Box<dyn Future<Output = Result<Given<R>>> + Send + 's> {
    Box::new(async move { Ok(Given(call(store, called, params).await?)) })
}

/// A function with more parameters.
fn by_vals(instance: &mut LinkerInstance<'_, Ctx>, name: &str, called: Called) -> Result<()> {
    instance.func_new_async(name, move |store, ty, params, values| {
        let called = called.clone();
        Box::new(async move {
            let answer = call(store, called, encode(params, &types_of(&ty))).await?;
            let answer = decode(&answer, &results(&ty))?;
            for (value, one) in values.iter_mut().zip(answer) {
                *value = one;
            }
            Ok(())
        })
    })
}

/// Calls whoever provides the function, with the bytes of the parameters, and gets those of its results.
async fn call(
    mut store: StoreContextMut<'_, Ctx>,
    called: Called,
    params: Result<Vec<u8>, Unfit>,
) -> Result<Vec<u8>> {
    let Called {
        import,
        index,
        number,
    } = called;
    let function = &import.functions()[number];
    let signal = Arc::clone(&store.data().signal);
    let peer = &mut store.data_mut().peer;
    let deadline = peer.deadline(DEFAULT_DEADLINE);
    let answer = match params {
        Err(why) => Err(unfit(why)),
        Ok(params) if peer.shared().is_worker => {
            ask_pid_1(peer, &import, number, params, deadline).await
        }
        Ok(params) => match peer.typed_call((&import, index, number), params, deadline) {
            Ok((provider, call)) => {
                let (shared, asker) = (Arc::clone(peer.shared()), peer.asker(&signal));
                let answer = shared.ask(&asker, provider, Work::Typed(call), deadline);
                answered(answer.await).map_err(NoAnswer::Call)
            }
            Err(Unbound::Nobody) => Err(NoAnswer::Call(CallError::NoProvider)),
            Err(Unbound::Differs(why)) => Err(NoAnswer::Differs(why)),
        },
    };
    match answer {
        Ok(values) => Ok(values),
        Err(NoAnswer::Differs(why)) => Err(Error::msg(why)),
        Err(NoAnswer::Call(error)) => match function.failure.say(&error) {
            Some(said) => Ok(encode(&[said], &results(&function.ty))?),
            None => Err(failed(&import, function, &error)),
        },
    }
}

/// In a worker process: what PID 1 makes of the call.
async fn ask_pid_1(
    peer: &Peer,
    import: &TypedImport,
    number: usize,
    params: Vec<u8>,
    deadline: Instant,
) -> Result<Vec<u8>, NoAnswer> {
    let (reply, answer) = oneshot::channel();
    let call = Call {
        caller: peer.caller(),
        capability: import.capability().clone(),
        payload: params,
        deadline,
    };
    let ask = Ask::Typed {
        function: number as u64,
        call,
        reply,
    };
    let (id, incarnation) = (peer.card().id, peer.incarnation());
    peer.shared().send(id, incarnation, EventKind::Asks(ask));
    match timeout_at(deadline.into(), answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(NoAnswer::Call(CallError::ProviderDied)),
        Err(_) => Err(NoAnswer::Call(CallError::Deadline)),
    }
}

/// The values of an answer.
fn answered(answer: Result<Answer, CallError>) -> Result<Vec<u8>, CallError> {
    match answer? {
        Answer::Values(values) => Ok(values),
        Answer::Bytes(_) => Err(CallError::ProviderDied), // nobody answers values so
    }
}

fn unfit(unfit: Unfit) -> NoAnswer {
    NoAnswer::Call(match unfit {
        Unfit::TooLarge => CallError::TooLarge(MAX_PAYLOAD as u32),
        Unfit::Malformed => CallError::ProviderDied, // neither side sends such
    })
}

fn failed(import: &TypedImport, function: &Function, error: &CallError) -> Error {
    Error::msg(format!("{}#{}: {error}", import.name(), function.name))
}
