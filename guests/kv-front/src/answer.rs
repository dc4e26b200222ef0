//! What is answered to which request. Knows neither HTTP's streams nor where the store is.

use crate::example::kv::store::{Entry, Error};

/// Most bytes of a value, as the store has it.
pub const MAX_VALUE: usize = 64 * 1024;

/// What is used of the store.
pub trait Store {
    fn get(&self, key: &str) -> Result<Option<Entry>, Error>;
    fn set(&self, key: &str, value: &[u8]) -> Result<u64, Error>;
    fn delete(&self, key: &str) -> Result<bool, Error>;
}

/// What a request wants of its key.
#[derive(Debug, Clone)]
pub enum Ask {
    Get,
    /// The body, if it came to its end.
    Put(Option<Vec<u8>>),
    Delete,
    Other,
}

/// An answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A status with a line that says why.
    fn why(status: u16, why: &str) -> Self {
        let mut answer = Self::empty(status).with("content-type", "text/plain; charset=utf-8");
        answer.body = format!("{why}\n").into_bytes();
        answer
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Answers a request: `path` is what HTTP calls the target, `/KEY`, perhaps with a query, which means nothing.
pub fn answer(store: &impl Store, path: &str, ask: Ask) -> Answer {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let key = match key(path) {
        Ok(key) => key,
        Err(why) => return Answer::why(400, why),
    };
    let answered = match ask {
        Ask::Get => get(store, &key),
        Ask::Put(None) => return Answer::why(400, "the body ended early"),
        Ask::Put(Some(value)) if value.len() > MAX_VALUE => Err(Error::TooLarge),
        Ask::Put(Some(value)) => put(store, &key, &value),
        Ask::Delete => store.delete(&key).map(|was_there| match was_there {
            true => Answer::empty(204),
            false => not_there(),
        }),
        Ask::Other => {
            return Answer::why(405, "GET, PUT or DELETE").with("allow", "GET, PUT, DELETE");
        }
    };
    answered.unwrap_or_else(failed)
}

fn get(store: &impl Store, key: &str) -> Result<Answer, Error> {
    let Some(entry) = store.get(key)? else {
        return Ok(not_there());
    };
    let mut answer = Answer::empty(200)
        .with("content-type", "application/octet-stream")
        .with("etag", quoted(entry.revision));
    answer.body = entry.value;
    Ok(answer)
}

fn put(store: &impl Store, key: &str, value: &[u8]) -> Result<Answer, Error> {
    let revision = store.set(key, value)?;
    let status = if revision == 1 { 201 } else { 204 };
    Ok(Answer::empty(status).with("etag", quoted(revision)))
}

fn quoted(revision: u64) -> String {
    format!("\"{revision}\"")
}

fn not_there() -> Answer {
    Answer::why(404, "no such key")
}

fn failed(error: Error) -> Answer {
    match error {
        Error::Unavailable(why) => Answer::why(503, &why),
        Error::TooLarge => Answer::why(413, "a key has at most 256 bytes, a value 64 KiB"),
        Error::Full => Answer::why(507, "there are too many keys"),
    }
}

/// The key of a path: what follows the first `/`, with `%XX` decoded.
fn key(path: &str) -> Result<String, &'static str> {
    let coded = path.strip_prefix('/').unwrap_or(path);
    if coded.is_empty() {
        return Err("the path is /KEY");
    }
    let mut bytes = Vec::with_capacity(coded.len());
    let mut rest = coded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit(), digit());
            let value = high
                .zip(low)
                .ok_or("% is followed by two hexadecimal digits")?;
            (value.0 << 4 | value.1) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map_err(|_| "a key is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Own {
        entries: RefCell<BTreeMap<String, Entry>>,
        broken: Option<Error>,
    }

    impl Own {
        fn work(&self) -> Result<(), Error> {
            self.broken.clone().map_or(Ok(()), Err)
        }
    }

    impl Store for Own {
        fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
            self.work()?;
            Ok(self.entries.borrow().get(key).cloned())
        }

        fn set(&self, key: &str, value: &[u8]) -> Result<u64, Error> {
            self.work()?;
            let mut entries = self.entries.borrow_mut();
            let revision = entries.get(key).map_or(1, |known| known.revision + 1);
            let entry = Entry {
                value: value.to_vec(),
                revision,
                by: None,
            };
            entries.insert(key.to_owned(), entry);
            Ok(revision)
        }

        fn delete(&self, key: &str) -> Result<bool, Error> {
            self.work()?;
            Ok(self.entries.borrow_mut().remove(key).is_some())
        }
    }

    fn put(text: &str) -> Ask {
        Ask::Put(Some(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_key_is_put_got_and_deleted() {
        let store = Own::default();
        assert_eq!(answer(&store, "/a", Ask::Get).status, 404);
        assert_eq!(answer(&store, "/a", put("1")).status, 201);
        let again = answer(&store, "/a", put("2"));
        assert_eq!((again.status, again.body), (204, Vec::new()));
        assert_eq!(again.headers, [("etag", "\"2\"".to_owned())]);
        let got = answer(&store, "/a?query=ignored", Ask::Get);
        assert_eq!((got.status, got.body), (200, b"2".to_vec()));
        assert_eq!(answer(&store, "/a", Ask::Delete).status, 204);
        assert_eq!(answer(&store, "/a", Ask::Delete).status, 404);
    }

    #[test]
    fn keys_are_decoded() {
        let cases = [
            ("/a", Ok("a")),
            ("/a/b", Ok("a/b")),
            ("/%C3%a9%20", Ok("é ")),
            ("/", Err("the path is /KEY")),
            ("", Err("the path is /KEY")),
            ("/%4", Err("% is followed by two hexadecimal digits")),
            ("/%+1", Err("% is followed by two hexadecimal digits")),
            ("/%ff", Err("a key is UTF-8")),
        ];
        for (path, expected) in cases {
            assert_eq!(key(path).as_deref(), expected.as_ref().copied(), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_done_has_a_status_of_its_own() {
        let store = Own::default();
        let large = Ask::Put(Some(vec![0; MAX_VALUE + 1]));
        assert_eq!(answer(&store, "/a", large).status, 413);
        assert_eq!(answer(&store, "/a", Ask::Put(None)).status, 400);
        assert_eq!(answer(&store, "/", Ask::Get).status, 400);
        assert_eq!(answer(&store, "/a", Ask::Other).status, 405);
        assert!(store.entries.borrow().is_empty());
        let errors = [
            (Error::Unavailable("gone".into()), 503),
            (Error::TooLarge, 413),
            (Error::Full, 507),
        ];
        for (error, status) in errors {
            let store = Own {
                broken: Some(error),
                ..Own::default()
            };
            for ask in [Ask::Get, put("x"), Ask::Delete] {
                assert_eq!(answer(&store, "/a", ask).status, status);
            }
        }
    }
}
