//! `service!`, `freestanding!` and the log macros.

/// Exports a [`Service`](crate::Service): `service!(Type)`, with `timers`, `health`, `handler`, `handoff` and `events`
/// where the type implements [`Timers`](crate::Timers), [`Health`](crate::Health), [`Handler`](crate::Handler),
/// [`Handoff`](crate::Handoff) and [`Events`](crate::Events):
/// `service!(Type, timers, health)`. Once per component; natively it only checks the traits.
#[macro_export]
macro_rules! service {
    ($service:ty $(, $export:ident)* $(,)?) => {
        const _: () = {
            struct Component;
            #[cfg(target_family = "wasm")]
            static SLOT: $crate::rt::Slot<$service> = $crate::rt::Slot::empty();
            #[cfg(not(target_family = "wasm"))]
            $crate::rt::thread_local! {
                static SLOT: $crate::rt::Slot<$service> = const { $crate::rt::Slot::empty() };
            }
            $crate::__export!(service $service);
            $($crate::__export!($export $service);)*
        };
    };
}

/// One export of `service!`, written where `Component` and `SLOT` are in scope.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (service $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Service>() {}
            implements::<$service>();
        };
        impl $crate::Instance for $service {
            #[cfg(target_family = "wasm")]
            fn with<R>(then: impl FnOnce(&mut Self) -> R) -> R {
                $crate::rt::started(SLOT.with(then))
            }
            #[cfg(not(target_family = "wasm"))]
            fn with<R>(then: impl FnOnce(&mut Self) -> R) -> R {
                $crate::rt::started(SLOT.with(|slot| slot.with(then)))
            }
            #[cfg(not(target_family = "wasm"))]
            fn put(service: Self) {
                SLOT.with(|slot| slot.put(service));
            }
        }
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::service::exports::arje::ente::service::Guest for Component {
            fn start(card: $crate::CardInfo) -> Result<(), $crate::rt::String> {
                SLOT.start(&card)
            }
            fn stop(reason: $crate::StopReason) {
                SLOT.stop(reason)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::service::export_service!(
            Component with_types_in $crate::bindings::service
        );
    };
    (timers $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Timers>() {}
            implements::<$service>();
        };
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::timers::exports::arje::ente::timer_handler::Guest for Component {
            fn on_timer(token: u64) {
                SLOT.on_timer(token)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::timers::export_timers!(
            Component with_types_in $crate::bindings::timers
        );
    };
    (events $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Events>() {}
            implements::<$service>();
        };
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::events::exports::arje::ente::supervisor_handler::Guest for Component {
            fn on_event(event: $crate::supervisor::Event) {
                SLOT.on_event(event)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::events::export_events!(
            Component with_types_in $crate::bindings::events
        );
    };
    (handler $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Handler>() {}
            implements::<$service>();
        };
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::handler::exports::arje::bus::handler::Guest for Component {
            fn handle(
                caller: $crate::bus::Caller,
                capability: $crate::Capability,
                payload: $crate::rt::Vec<u8>,
            ) -> Result<$crate::rt::Vec<u8>, $crate::bus::HandlerError> {
                SLOT.handle(caller, capability, payload)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::handler::export_handler!(
            Component with_types_in $crate::bindings::handler
        );
    };
    (handoff $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Handoff>() {}
            implements::<$service>();
        };
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::handoff::exports::arje::state::handoff::Guest for Component {
            fn save() -> $crate::rt::Vec<u8> {
                SLOT.save()
            }
            fn restore(state: $crate::rt::Vec<u8>) -> Result<(), $crate::rt::String> {
                SLOT.restore(&state)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::handoff::export_handoff!(
            Component with_types_in $crate::bindings::handoff
        );
    };
    (health $service:ty) => {
        const _: fn() = || {
            fn implements<T: $crate::Health>() {}
            implements::<$service>();
        };
        #[cfg(target_family = "wasm")]
        impl $crate::bindings::health::exports::arje::ente::health::Guest for Component {
            fn health() -> Result<(), $crate::rt::String> {
                SLOT.health()
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::health::export_health!(
            Component with_types_in $crate::bindings::health
        );
    };
}

/// Gives a component without `std` what `std` would: an allocator, a panic handler that logs where
/// it happened and traps, and the canonical ABI's `realloc`. Once per component, whose first line
/// is `#![cfg_attr(target_family = "wasm", no_std)]`; natively it does nothing.
#[macro_export]
macro_rules! freestanding {
    () => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::rt::Allocator = $crate::rt::Allocator::empty();

            #[panic_handler]
            fn panic(panic: &core::panic::PanicInfo<'_>) -> ! {
                $crate::rt::log_panic(panic);
                core::arch::wasm32::unreachable()
            }

            // SAFETY: nothing else in the component has this name: without `std` there is no
            // wasi-libc to bring its own.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn cabi_realloc(
                old: *mut u8,
                old_size: usize,
                align: usize,
                size: usize,
            ) -> *mut u8 {
                // SAFETY: the host keeps to the canonical ABI.
                unsafe { $crate::rt::cabi_realloc(old, old_size, align, size) }
            }
        };
    };
}

/// Logs one line: `log!(Level::Info, "message {x}"; field = value, other = value)`. Values need
/// [`ToString`](alloc::string::ToString).
#[macro_export]
macro_rules! log {
    ($level:expr, $message:literal $(, $arg:expr)* $(; $($field:ident = $value:expr),+ $(,)?)?) => {
        $crate::rt::log(
            $level,
            ::core::format_args!($message $(, $arg)*),
            &[$($((
                $crate::rt::String::from(::core::stringify!($field)),
                $crate::rt::ToString::to_string(&$value),
            )),+)?],
        )
    };
}

/// Logs at level trace; see [`log!`](crate::log!).
#[macro_export]
macro_rules! trace { ($($rest:tt)+) => { $crate::log!($crate::Level::Trace, $($rest)+) }; }

/// Logs at level debug; see [`log!`](crate::log!).
#[macro_export]
macro_rules! debug { ($($rest:tt)+) => { $crate::log!($crate::Level::Debug, $($rest)+) }; }

/// Logs at level info; see [`log!`](crate::log!).
#[macro_export]
macro_rules! info { ($($rest:tt)+) => { $crate::log!($crate::Level::Info, $($rest)+) }; }

/// Logs at level warn; see [`log!`](crate::log!).
#[macro_export]
macro_rules! warn { ($($rest:tt)+) => { $crate::log!($crate::Level::Warn, $($rest)+) }; }

/// Logs at level error; see [`log!`](crate::log!).
#[macro_export]
macro_rules! error { ($($rest:tt)+) => { $crate::log!($crate::Level::Error, $($rest)+) }; }
