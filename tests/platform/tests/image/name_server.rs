//! A name server that knows one name. The C library asks port 53, so it listens on a loopback address of its own.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 53, 53, 53);
/// How long an answer may be kept, in seconds: not at all.
const KEPT: [u8; 4] = [0; 4];
const TYPE_A: [u8; 2] = [0, 1];

/// A name server; it ends when this is dropped.
pub(crate) struct NameServer {
    asked: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// From now on `name` is at `address`, and no other name exists.
    pub(crate) fn start(name: &str, address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((ADDRESS, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (asked, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        // As names are written in a question: each part after its length, and an empty one at the end.
        let mut wanted: Vec<u8> = name.split('.').flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part.as_bytes()].concat()).collect();
        wanted.push(0);
        let (notes, end) = (Arc::clone(&asked), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !end.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let question = buffer.get(12..length).unwrap_or_default();
                let known = question.to_ascii_lowercase().starts_with(&wanted);
                if known {
                    notes.store(true, Ordering::SeqCst);
                }
                let _ = socket.send_to(&answer(&buffer[..length], known, wanted.len(), address), from);
            }
        });
        Self { asked, ended, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        ADDRESS
    }

    /// Whether anybody has asked for the name.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer: the same id and question; an address if it was asked for and is known, nothing for another type, no such name for others.
fn answer(question: &[u8], known: bool, name: usize, address: Ipv4Addr) -> Vec<u8> {
    let asks = question.get(12 + name..14 + name).unwrap_or_default();
    let (code, answers) = match (known, asks == TYPE_A) {
        (true, true) => (0, 1),
        (true, false) => (0, 0),
        (false, _) => (3, 0),
    };
    // The end of the question: its name, type and class. What comes after, such as the sizes that a resolver takes, is not repeated.
    let end = 12 + question.get(12..).unwrap_or_default().iter().position(|byte| *byte == 0).map_or(0, |at| at + 5);
    let mut answer = question.get(..2).unwrap_or_default().to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question.get(12..end).unwrap_or_default());
    if answers == 1 {
        // The name: that of the question, which begins at byte 12.
        answer.extend([0xc0, 12]);
        answer.extend(TYPE_A);
        answer.extend([0, 1]);
        answer.extend(KEPT);
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    answer
}
