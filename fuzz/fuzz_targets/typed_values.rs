#![no_main]
arje_fuzz::fuzz!();
