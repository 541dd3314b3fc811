//! The plan of a sandbox: pure data, from what the user asks for and what is known of the machine.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    environment::environment,
    layout,
    plan_error::PlanError,
    request::{EntryKind, Home, Host, Program, Request},
    root::{self, FileStep},
    users::UNPRIVILEGED,
    wall::Wall,
};

/// Everything that the stages of a sandbox do, in order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    pub(super) walls: BTreeSet<Wall>,
    pub(super) files: Vec<FileStep>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) working_directory: OsString,
    pub(super) program: Program,
    /// Whether root starts it, and the program runs as somebody else.
    pub(super) is_root: bool,
    /// The path of the host's that is the program's home directory alone.
    pub(super) private_home: Option<OsString>,
    pub(super) connect_timeout: Duration,
    warnings: Vec<String>,
}

impl Plan {
    /// Looks at this machine, and makes the plan of a sandbox with all walls that the request leaves.
    ///
    /// # Errors
    ///
    /// The request cannot be granted, or a path of it cannot be read.
    pub fn for_this_machine(request: &Request) -> std::io::Result<Self> {
        Self::on_this_machine(request, Wall::ALL.into())
    }

    /// Makes the plan of a sandbox with all walls that the request leaves.
    ///
    /// # Errors
    ///
    /// The request cannot be granted.
    pub fn new(request: &Request, host: &Host) -> Result<Self, PlanError> {
        Self::with_walls(request, host, Wall::ALL.into())
    }

    /// Makes a plan without some of the walls: only tests may, which show what each wall is for.
    ///
    /// # Errors
    ///
    /// The request cannot be granted, or a path of it cannot be read.
    #[cfg(feature = "leave-out-walls")]
    pub fn leaving_out(request: &Request, missing: &[Wall]) -> std::io::Result<Self> {
        Self::on_this_machine(request, Wall::ALL.into_iter().filter(|wall| !missing.contains(wall)).collect())
    }

    fn on_this_machine(request: &Request, walls: BTreeSet<Wall>) -> std::io::Result<Self> {
        let candidates: Vec<_> = layout::SHOWN.iter().chain(layout::SHOWN_HARDWARE).copied().collect();
        let host = Host::read(request, &candidates)?;
        Self::with_walls(request, &host, walls)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
    }

    /// What the user should know before the program starts.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The walls that the sandbox will have.
    pub fn walls(&self) -> impl Iterator<Item = Wall> + '_ {
        self.walls.iter().copied()
    }

    pub(super) fn has(&self, wall: Wall) -> bool {
        self.walls.contains(&wall)
    }

    fn with_walls(request: &Request, host: &Host, mut walls: BTreeSet<Wall>) -> Result<Self, PlanError> {
        check_paths(request, host)?;
        check_variables(&request.environment)?;
        if request.allow_unix {
            walls.remove(&Wall::UnixSockets);
        }
        if let Home::Share(_) = request.home {
            walls.remove(&Wall::Home);
        }
        let home = home_path(request);
        let environment = if walls.contains(&Wall::Environment) {
            environment(
                &host.environment,
                &request.environment,
                home.as_os_str(),
                &shown(request, host, &home),
            )
        } else {
            host.environment.clone()
        };
        Ok(Self {
            files: if walls.contains(&Wall::Files) {
                root::steps(request, host, &walls, &home)
            } else {
                Vec::new()
            },
            environment,
            working_directory: working_directory(request, host, &walls, &home).into(),
            program: request.program.clone(),
            is_root: host.is_root,
            private_home: request.private_home().map(|path| real_path(host, path).into()),
            connect_timeout: request.connect_timeout,
            warnings: warnings(request, host),
            walls,
        })
    }
}

/// Directories that the program sees.
fn shown<'a>(request: &'a Request, host: &'a Host, home: &'a Path) -> Vec<&'a Path> {
    let system = host.entries.iter().map(|entry| entry.path.as_path());
    system.chain(request.binds.iter().map(|bind| bind.path.as_path())).chain([home]).collect()
}

/// The home directory as the program sees it.
fn home_path(request: &Request) -> PathBuf {
    match &request.home {
        Home::Share(path) => path.clone(),
        Home::Temporary | Home::Private(_) => layout::HOME.into(),
    }
}

fn check_paths(request: &Request, host: &Host) -> Result<(), PlanError> {
    for path in request.shown() {
        let shown = path.display().to_string();
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain {
            return Err(PlanError::NotAbsolute(shown));
        }
        if is_reserved(path) {
            return Err(PlanError::ReservedPath(shown));
        }
    }
    for path in request.shown() {
        let closed =
            request.closed.iter().find(|closed| real_path(host, path).starts_with(real_path(host, closed)));
        if let Some(closed) = closed {
            return Err(PlanError::Closed(path.display().to_string(), closed.display().to_string()));
        }
    }
    for path in request.shown().chain(request.private_home()) {
        let real = real_path(host, path);
        if is_reserved(real) {
            return Err(PlanError::LeadsToReservedPath(
                path.display().to_string(),
                real.display().to_string(),
            ));
        }
    }
    Ok(())
}

fn is_reserved(path: &Path) -> bool {
    let reserved = ["/proc", "/sys", "/dev"].iter().any(|own| path.starts_with(own));
    // A program that sees one of these sees everything below it.
    let whole = ["/", "/run", "/etc", "/tmp", "/var", "/var/run", "/home"];
    reserved || whole.iter().any(|own| path == Path::new(own))
}

/// What is shown for a path of the request.
fn real_path<'a>(host: &'a Host, path: &'a Path) -> &'a Path {
    root::resolved(host, path).map_or(path, |entry| &entry.path)
}

fn check_variables(variables: &[(OsString, OsString)]) -> Result<(), PlanError> {
    let wrong = |name: &&OsString| {
        let bytes = name.as_encoded_bytes();
        bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0)
    };
    match variables.iter().map(|(name, _)| name).find(wrong) {
        Some(name) => Err(PlanError::VariableName(name.display().to_string())),
        None => Ok(()),
    }
}

fn warnings(request: &Request, host: &Host) -> Vec<String> {
    let mut warnings = Vec::new();
    let home = host.environment.iter().find(|(name, _)| name == "HOME").map(|(_, value)| Path::new(value));
    let home_is_below = |path: &Path| {
        let real = real_path(host, path);
        home.is_some_and(|home| home.starts_with(real) || real_path(host, home).starts_with(real))
    };
    let bound = request.binds.iter().filter(|bind| bind.writable && home_is_below(&bind.path));
    let private_is_own = request.private_home().filter(|path| home_is_below(path));
    for path in
        request.shared_home().into_iter().chain(bound.map(|bind| bind.path.as_path())).chain(private_is_own)
    {
        warnings.push(format!(
            "the program may write in {}. If another program runs what it wrote there, that is not contained",
            path.display()
        ));
    }
    for path in request.shown().chain(request.private_home()) {
        let real = real_path(host, path);
        if real != path {
            warnings.push(format!("{} leads to {}: the program sees that", path.display(), real.display()));
        }
    }
    for bind in request.binds.iter().filter(|bind| !bind.writable) {
        let found = root::resolved(host, &bind.path).filter(|entry| entry.kind == EntryKind::Directory);
        let Some(real) = found.map(|entry| &entry.path) else { continue };
        if !layout::SHOWN.iter().any(|system| real.starts_with(system)) {
            warnings.push(format!(
                "the program can write into FIFOs in {}, although it is shown read-only",
                bind.path.display()
            ));
        }
    }
    if host.is_root && request.shown().next().is_some() {
        warnings.push(format!(
            "root's program runs as the user {UNPRIVILEGED}: what this user may not read or change is closed to the \
             program, although you show it"
        ));
    }
    if request.allow_unix {
        warnings.push(
            "the program can make Unix sockets, and reach every program that listens on one in a directory that it sees"
                .to_owned(),
        );
    }
    warnings
}

/// The user's own directory if the program sees it, and its home otherwise.
fn working_directory(request: &Request, host: &Host, walls: &BTreeSet<Wall>, home: &Path) -> PathBuf {
    let current = &host.working_directory;
    let bound = request.binds.iter().any(|bind| current.starts_with(&bind.path));
    let shared = matches!(request.home, Home::Share(_)) && current.starts_with(home);
    if bound || shared || !walls.contains(&Wall::Files) { current.clone() } else { home.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            request::{Bind, Entry},
            root::FileAction,
        },
        *,
    };

    fn request() -> Request {
        Request {
            program: Program::Command { name: "true".into(), arguments: Vec::new() },
            home: Home::Temporary,
            binds: Vec::new(),
            closed: Vec::new(),
            allow_unix: false,
            environment: Vec::new(),
            name_server: [10, 64, 0, 1].into(),
            connect_timeout: Duration::from_secs(127),
        }
    }

    fn host() -> Host {
        let entry = |path: &str, kind| Entry { path: path.into(), kind };
        Host {
            working_directory: "/home/alice/src/project".into(),
            entries: vec![
                entry("/usr", EntryKind::Directory),
                entry("/bin", EntryKind::Link("usr/bin".into())),
                entry("/etc/ssl", EntryKind::Directory),
                entry("/etc/services", EntryKind::File),
                entry("/sys/devices/system/cpu", EntryKind::Directory),
            ],
            resolved: vec![
                ("/home/alice".into(), entry("/home/alice", EntryKind::Directory)),
                ("/home/alice/src".into(), entry("/mnt/src", EntryKind::Directory)),
                ("/srv/file".into(), entry("/srv/file", EntryKind::File)),
            ],
            random_ids: ["01234567-89ab-cdef-0123-456789abcdef".into(), "another".into()],
            ..Host::default()
        }
    }

    fn actions<'a>(plan: &'a Plan, path: &str) -> Vec<&'a FileAction> {
        plan.files.iter().filter(|step| step.path == path).map(|step| &step.action).collect()
    }

    #[test]
    fn a_plain_request_gets_every_wall_and_no_warning() {
        let plan = Plan::new(&request(), &host()).unwrap();
        assert_eq!(plan.walls().collect::<BTreeSet<_>>(), Wall::ALL.into());
        assert!(plan.warnings().is_empty());
        assert_eq!(plan.working_directory, "/home/user");
        assert_eq!(actions(&plan, "/home/user"), [&FileAction::Memory(0o700)]);
        assert_eq!(actions(&plan, "/run"), [&FileAction::Memory(0o755)]);
        assert_eq!(actions(&plan, "/bin"), [&FileAction::Link("usr/bin".into())]);
        let usr = FileAction::Bind { source: "/usr".into(), directory: true, writable: false, users: false };
        assert_eq!(actions(&plan, "/usr"), [&usr]);
    }

    #[test]
    fn a_closed_directory_is_covered_wherever_it_is_shown() {
        let mut host = host();
        let directory = |path: &str| Entry { path: path.into(), kind: EntryKind::Directory };
        host.resolved.push(("/state".into(), directory("/mnt/src/state")));
        host.resolved.push(("/mnt/src/state/keys".into(), directory("/mnt/src/state/keys")));
        let bind = |path: &str| vec![Bind { path: path.into(), writable: true }];
        let closed = vec![PathBuf::from("/state")];
        let shows = Request { binds: bind("/home/alice/src"), closed: closed.clone(), ..request() };
        let plan = Plan::new(&shows, &host).unwrap();
        assert_eq!(actions(&plan, "/home/alice/src/state"), [&FileAction::CoverDirectory]);
        let within = Request { binds: bind("/mnt/src/state/keys"), closed: closed.clone(), ..request() };
        let error = Plan::new(&within, &host).unwrap_err();
        assert_eq!(error, PlanError::Closed("/mnt/src/state/keys".into(), "/state".into()));
        let private = Request { home: Home::Private("/mnt/src/state/keys".into()), closed, ..request() };
        assert!(Plan::new(&private, &host).is_ok(), "a home may be there");
    }

    #[test]
    fn nothing_of_the_host_is_writable_unless_the_request_says_so() {
        let writable = |plan: &Plan| {
            let is_writable =
                |step: &&FileStep| matches!(step.action, FileAction::Bind { writable: true, .. });
            plan.files.iter().filter(is_writable).map(|step| step.path.clone()).collect::<Vec<_>>()
        };
        assert!(writable(&Plan::new(&request(), &host()).unwrap()).is_empty());
        let mut request = request();
        request.binds = vec![
            Bind { path: "/srv/file".into(), writable: false },
            Bind { path: "/home/alice/src".into(), writable: true },
        ];
        let plan = Plan::new(&request, &host()).unwrap();
        assert_eq!(writable(&plan), ["/home/alice/src"]);
        let file =
            FileAction::Bind { source: "/srv/file".into(), directory: false, writable: false, users: true };
        assert_eq!(actions(&plan, "/srv/file"), [&file]);
        // What is mounted is what the path leads to, so that a link inside cannot lead elsewhere.
        let source =
            FileAction::Bind { source: "/mnt/src".into(), directory: true, writable: true, users: true };
        assert_eq!(actions(&plan, "/home/alice/src"), [&source]);
        assert_eq!(plan.working_directory, "/home/alice/src/project");
    }

    #[test]
    fn a_shared_home_and_unix_sockets_take_down_their_walls_with_a_warning() {
        let request = Request { home: Home::Share("/home/alice".into()), allow_unix: true, ..request() };
        let plan = Plan::new(&request, &host()).unwrap();
        let missing: Vec<_> = Wall::ALL.into_iter().filter(|wall| !plan.has(*wall)).collect();
        assert_eq!(missing, [Wall::Home, Wall::UnixSockets]);
        assert_eq!(plan.warnings().len(), 2);
        assert_eq!(plan.working_directory, "/home/alice/src/project");
        assert!(plan.environment.contains(&("HOME".into(), "/home/alice".into())));
    }

    #[test]
    fn a_writable_bind_of_the_users_home_directory_is_warned_of() {
        let host = Host { environment: vec![("HOME".into(), "/home/alice".into())], ..host() };
        for (path, writable, warned) in
            [("/home/alice", true, true), ("/home/alice", false, false), ("/home/alice/src", true, false)]
        {
            let request = Request { binds: vec![Bind { path: path.into(), writable }], ..request() };
            let plan = Plan::new(&request, &host).unwrap();
            let found = plan.warnings().iter().any(|warning| warning.contains("is not contained"));
            assert_eq!(found, warned, "{path} {writable}: {:?}", plan.warnings());
        }
    }

    #[test]
    fn links_are_followed_before_paths_are_judged() {
        // Planted in an earlier run by a program that could write there.
        let led = |real: &str| {
            let entry = Entry { path: real.into(), kind: EntryKind::Directory };
            let own = Entry { path: "/data/alice".into(), kind: EntryKind::Directory };
            Host {
                environment: vec![("HOME".into(), "/home/alice".into())],
                resolved: vec![("/srv/out".into(), entry), ("/home/alice".into(), own)],
                ..host()
            }
        };
        let bind = Request { binds: vec![Bind { path: "/srv/out".into(), writable: true }], ..request() };
        let share = Request { home: Home::Share("/srv/out".into()), ..request() };
        let private = Request { home: Home::Private("/srv/out".into()), ..request() };
        for request in [&bind, &share, &private] {
            for real in ["/", "/etc", "/proc/1/root", "/run", "/home"] {
                let error = PlanError::LeadsToReservedPath("/srv/out".to_owned(), real.to_owned());
                assert_eq!(Plan::new(request, &led(real)), Err(error));
            }
            // The user's home directory, which may be a link itself.
            for real in ["/home/alice", "/data/alice", "/data"] {
                let plan = Plan::new(request, &led(real)).unwrap();
                let said = |part: &str| plan.warnings().iter().any(|warning| warning.contains(part));
                assert!(said("is not contained"), "{real}");
                assert!(said(&format!("/srv/out leads to {real}")), "{:?}", plan.warnings());
            }
            assert_eq!(
                Plan::new(request, &led("/srv/out")).unwrap().warnings().len(),
                usize::from(matches!(request.home, Home::Share(_)))
            );
        }
    }

    #[test]
    fn fifos_of_directories_that_are_not_the_systems_are_warned_of() {
        let entry = |path: &str, kind| (path.into(), Entry { path: path.into(), kind });
        let host = Host {
            resolved: vec![
                entry("/srv", EntryKind::Directory),
                entry("/usr/share", EntryKind::Directory),
                entry("/srv/file", EntryKind::File),
            ],
            ..host()
        };
        for (path, warned) in [("/srv", true), ("/usr/share", false), ("/srv/file", false)] {
            let request = Request { binds: vec![Bind { path: path.into(), writable: false }], ..request() };
            let plan = Plan::new(&request, &host).unwrap();
            assert_eq!(plan.warnings().iter().any(|warning| warning.contains("FIFOs")), warned, "{path}");
        }
    }

    #[test]
    fn root_is_told_that_its_program_is_another_user() {
        let warned = |request: &Request, is_root| {
            let plan = Plan::new(request, &Host { is_root, ..host() }).unwrap();
            plan.warnings().iter().any(|warning| warning.contains("runs as the user 65521"))
        };
        let bind = Bind { path: "/srv/file".into(), writable: false };
        let shown = Request { binds: vec![bind], ..request() };
        let shared = Request { home: Home::Share("/home/alice".into()), ..request() };
        assert!(warned(&shown, true) && warned(&shared, true));
        assert!(!warned(&shown, false) && !warned(&shared, false) && !warned(&request(), true));
    }

    #[test]
    fn keys_and_certificates_of_the_machine_are_covered() {
        let plan = Plan::new(&request(), &host()).unwrap();
        for path in ["/etc/ssl/private", "/etc/pki/tls/private", "/etc/pki/consumer", "/etc/pki/entitlement"]
        {
            assert_eq!(actions(&plan, path), [&FileAction::CoverDirectory], "{path}");
        }
        for path in ["/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/pki/tls/certs/localhost.crt"] {
            assert_eq!(actions(&plan, path), [&FileAction::Cover(String::new())], "{path}");
        }
        for secret in ["/etc/static", "/etc/wgetrc", "/etc/gitconfig"] {
            assert!(!layout::SHOWN.contains(&secret), "{secret}");
        }
    }

    #[test]
    fn paths_that_would_open_a_wall_are_refused() {
        for path in ["/", "/proc/1", "/sys", "/dev/net/tun", "/run", "/home", "/etc"] {
            let request = Request { binds: vec![Bind { path: path.into(), writable: false }], ..request() };
            assert_eq!(Plan::new(&request, &host()), Err(PlanError::ReservedPath(path.to_owned())));
        }
        for path in ["home", "/home/../etc", "./x"] {
            let request = Request { binds: vec![Bind { path: path.into(), writable: false }], ..request() };
            assert_eq!(Plan::new(&request, &host()), Err(PlanError::NotAbsolute(path.to_owned())));
        }
        let share = Request { home: Home::Share("/".into()), ..request() };
        assert_eq!(Plan::new(&share, &host()), Err(PlanError::ReservedPath("/".to_owned())));
    }

    #[test]
    fn variables_without_a_name_are_refused() {
        for name in ["", "A=B"] {
            let request = Request { environment: vec![(name.into(), "x".into())], ..request() };
            assert_eq!(Plan::new(&request, &host()), Err(PlanError::VariableName(name.to_owned())));
        }
    }

    #[test]
    fn identifiers_of_the_machine_are_new_in_each_run() {
        let plan = Plan::new(&request(), &host()).unwrap();
        let machine_id = FileAction::File("0123456789abcdef0123456789abcdef\n".to_owned());
        assert_eq!(actions(&plan, "/etc/machine-id"), [&machine_id]);
        let boot_id = FileAction::Cover("another\n".to_owned());
        assert_eq!(actions(&plan, "/proc/sys/kernel/random/boot_id"), [&boot_id]);
    }
}
