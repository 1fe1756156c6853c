//! Starts the parts in order of need, watches them, serves the tests' requests, and ends everything.
//!
//! One thread does all of it: children die with the thread that started them (see `process`), and one loop needs no
//! locks. Tests do not start parts themselves, they ask over a socket in the run's folder (see `control`); so a part
//! that a test restarts dies with the supervisor like every other, however briefly the asking test lives.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::compile::note;
use crate::control::{Listener, Request};
use crate::kubeconfig::write_private;
use crate::parts::{Lasts, PARTS, Part, Program};
use crate::process;
use crate::ready::Probe;
use crate::record::PartRecord;
use crate::site::Site;

/// A part that is not ready after this is broken: the slowest takes about 4 s on two busy cores.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a part may take to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Starting(Instant),
    Ready,
    /// Ended because a test or the shutdown asked for it.
    Stopped,
    /// Ended by itself.
    Lost,
}

#[derive(Debug)]
struct Running {
    part: &'static Part,
    state: State,
    child: Option<Child>,
    record: PartRecord,
    probe: Probe,
}

/// The running platform.
#[derive(Debug)]
pub(crate) struct Supervisor {
    site: Site,
    parts: Vec<Running>,
    stop: Arc<AtomicBool>,
    control: Listener,
}

impl Supervisor {
    /// Prepares every part; nothing runs yet. `stop` is set by a signal.
    pub(crate) fn new(site: Site, stop: Arc<AtomicBool>) -> Result<Self> {
        let control = Listener::open(site.dir())?;
        let parts = PARTS.iter().map(|part| Running::prepare(part, &site)).collect::<Result<_>>()?;
        Ok(Self { site, parts, stop, control })
    }

    /// The run's folder and kubeconfigs.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Starts every part as soon as what it needs is ready, and returns when all are.
    pub(crate) fn start(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            for index in 0..self.parts.len() {
                self.step(index, began)?;
            }
            if self.parts.iter().all(|running| running.state == State::Ready) {
                break;
            }
            if self.told_to_stop() {
                bail!("stopped by a signal while starting");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.write_records()?;
        note(&format!("all parts ready in {:.1} s", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Moves one part on: starts it when it may, or looks whether it is ready.
    fn step(&mut self, index: usize, began: Instant) -> Result<()> {
        let ready: Vec<_> = self.parts.iter().filter(|running| running.state == State::Ready).map(|running| running.part.name).collect();
        let Some(running) = self.parts.get_mut(index) else { return Ok(()) };
        match running.state {
            State::Waiting if running.part.after.iter().all(|need| ready.contains(need)) => running.start(),
            State::Starting(since) => {
                if running.look()? {
                    note(&format!(
                        "{} ready at {:.1} s (took {:.1})",
                        running.part.name,
                        began.elapsed().as_secs_f64(),
                        since.elapsed().as_secs_f64()
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One turn of the steady state: notices parts that ended by themselves, answers one request.
    pub(crate) fn turn(&mut self) -> Result<()> {
        let mut changed = false;
        for running in &mut self.parts {
            changed |= running.notice_loss()?;
        }
        if let Some(request) = self.control.next()? {
            let outcome = self.serve(&request);
            changed = true;
            self.write_records()?;
            request.answer(outcome);
        }
        if changed {
            self.write_records()?;
        }
        Ok(())
    }

    fn serve(&mut self, request: &Request) -> Result<()> {
        let index = self
            .parts
            .iter()
            .position(|running| running.part.name == request.part && running.part.lasts == Lasts::WithPlatform)
            .with_context(|| format!("no running part is called `{}`; parts.json has the names", request.part))?;
        let Some(running) = self.parts.get_mut(index) else { return Ok(()) };
        note(&format!("{} {}, as a test asks", request.verb, request.part));
        match request.verb.as_str() {
            "kill" => running.kill(),
            "stop" => running.stop().map(|_| ()),
            "freeze" => running.signal("STOP"),
            "thaw" => running.signal("CONT"),
            "restart" => {
                running.stop()?;
                running.start()?;
                while !running.look()? {
                    if self.stop.load(Ordering::Relaxed) {
                        bail!("the platform is shutting down");
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(())
            }
            other => bail!("`{other}` is not kill, stop, freeze, thaw or restart"),
        }
    }

    /// Whether a signal asked for the end.
    pub(crate) fn told_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Parts that ended by themselves.
    pub(crate) fn lost(&self) -> Vec<&'static str> {
        self.parts.iter().filter(|running| running.state == State::Lost).map(|running| running.part.name).collect()
    }

    /// Ends every part, the last started first, so that none logs the loss of another.
    pub(crate) fn shut_down(&mut self) -> Result<()> {
        for running in self.parts.iter_mut().rev() {
            if !running.stop()? {
                note(&format!("{} did not end within {} s and was killed", running.part.name, STOP_WITHIN.as_secs()));
            }
        }
        Ok(())
    }

    fn write_records(&self) -> Result<()> {
        let records: Vec<_> = self.parts.iter().filter(|running| running.part.lasts == Lasts::WithPlatform).map(|running| &running.record).collect();
        write_private(&self.site.dir().join("parts.json"), &serde_json::to_vec_pretty(&records)?)
    }
}

impl Drop for Supervisor {
    /// For the ways out that are errors; the regular one has ended everything by then.
    fn drop(&mut self) {
        for running in self.parts.iter_mut().rev() {
            if let Some(child) = &mut running.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Running {
    fn prepare(part: &'static Part, site: &Site) -> Result<Self> {
        let program = match part.program {
            Program::Built(pin) => site.path(&format!("bin/{pin}")),
            Program::In(built, file) => site.files_of(built, file)?,
            Program::InPath { name, install } => {
                find_in_path(name).with_context(|| format!("{} needs `{name}`, which is not in PATH: {install}", part.name))?
            }
        };
        let arguments = (part.args)(site).with_context(|| format!("cannot make the arguments of {}", part.name))?;
        let argv = std::iter::once(program).chain(arguments).collect();
        let mut env: BTreeMap<_, _> = (part.env)(site)?.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        env.insert("HOME".to_owned(), site.dir().to_string_lossy().into_owned());
        let port = part.ports.first().map(|name| site.port(name)).transpose()?;
        let log = PathBuf::from(site.path(&format!("logs/{}.log", part.name)));
        let probe = Probe::new(part.ready, port, site);
        let record = PartRecord { name: part.name.to_owned(), pid: None, argv, env, log, port };
        Ok(Self { part, state: State::Waiting, child: None, record, probe })
    }

    fn start(&mut self) -> Result<()> {
        let child = process::start_part(self.part.name, &self.record.argv, &self.record.env, &self.record.log)?;
        self.record.pid = Some(child.id());
        self.probe.reset();
        self.child = Some(child);
        self.state = State::Starting(Instant::now());
        Ok(())
    }

    /// Whether a starting part is ready now; an error if it ended or takes too long.
    fn look(&mut self) -> Result<bool> {
        let State::Starting(since) = self.state else { return Ok(self.state == State::Ready) };
        let ended = match &mut self.child {
            Some(child) => child.try_wait()?,
            None => None,
        };
        let done = match ended {
            Some(status) if self.part.lasts == Lasts::UntilDone && status.success() => true,
            Some(status) => {
                self.state = State::Lost;
                self.record.pid = None;
                bail!("{} ended while it was starting ({status})\n{}", self.part.name, self.tail());
            }
            None => false,
        };
        if (done || self.part.lasts == Lasts::WithPlatform) && self.probe.look()? {
            self.state = State::Ready;
            return Ok(true);
        }
        if since.elapsed() > READY_WITHIN {
            bail!("{} is not ready after {} s; last answer: {}\n{}", self.part.name, READY_WITHIN.as_secs(), self.probe.last_answer(), self.tail());
        }
        Ok(false)
    }

    fn notice_loss(&mut self) -> Result<bool> {
        if self.state != State::Ready || self.part.lasts != Lasts::WithPlatform {
            return Ok(false);
        }
        let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() else { return Ok(false) };
        self.state = State::Lost;
        self.record.pid = None;
        note(&format!("{} ended by itself ({status})\n{}", self.part.name, self.tail()));
        Ok(true)
    }

    fn kill(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            child.kill().with_context(|| format!("cannot kill {}", self.part.name))?;
            child.wait()?;
        }
        self.ended();
        Ok(())
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.part.name))?;
        process::send(signal, &child.id().to_string());
        Ok(())
    }

    /// Returns whether it ended without being killed.
    fn stop(&mut self) -> Result<bool> {
        let gently = match &mut self.child {
            Some(child) => process::stop(child, STOP_WITHIN).with_context(|| format!("cannot stop {}", self.part.name))?,
            None => true,
        };
        self.ended();
        Ok(gently)
    }

    fn ended(&mut self) {
        self.child = None;
        self.record.pid = None;
        if self.state != State::Waiting && self.state != State::Lost {
            self.state = State::Stopped;
        }
    }

    fn tail(&self) -> String {
        let text = fs::read_to_string(&self.record.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n  ");
        format!("its log, {}, ends:\n  {last}", self.record.log.display())
    }
}

fn find_in_path(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    // Debian puts servers where a user's PATH does not lead.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file()).map(|file| file.to_string_lossy().into_owned())
}
