//! From what was seen to what is wrong: each problem in plain words with its mend. Pure.

use crate::limits::{EARLIEST_CLOCK_SECS, HOT_CELSIUS, MEMORY_LOW_PERCENT, STORAGE_LOW_PERCENT};
use crate::status::{Docker, Problem, Services, Severity, Status, WifiState};
use crate::text::Lang;
use contract::report::DataState;

/// What to do about a sentence of the network part that names no mend.
const SEE_LOG: &str = "See the agent's log: `journalctl -u cloudy`, or its stderr.";

/// The problem that Docker does not run.
pub const DOCKER_STOPPED: &str = "docker-stopped";
/// The problem that it does not answer.
pub const DOCKER_SILENT: &str = "docker-silent";

/// A sentence of the network part: what is wrong, and the mend.
pub fn of_network(sentence: &str) -> (&str, &str) {
    sentence.rsplit_once("; ").unwrap_or((sentence, SEE_LOG))
}

/// Everything that is wrong in `status`, the worst first. `network` are sentences from the network part.
pub fn find(status: &Status, network: &[String], lang: Lang) -> Vec<Problem> {
    let mut found = Vec::new();
    settings(status, lang, &mut found);
    boot(status, lang, &mut found);
    host(status, lang, &mut found);
    wifi(status, lang, &mut found);
    services(status, lang, &mut found);
    docker(status, lang, &mut found);
    for sentence in network {
        let (what, mend) = of_network(sentence);
        found.push(problem("network", Severity::Warning, what, mend));
    }
    found.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    found
}

fn problem(id: &str, severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Problem {
    Problem { id: id.to_owned(), severity, what: what.into(), mend: mend.into() }
}

fn settings(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    if !status.settings.broken.is_empty() {
        let lines = status.settings.broken.join("; ");
        found.push(problem(
            "settings-broken",
            Severity::Error,
            lang.pick(
                format!("cloudy.toml can't be used: {lines}. The node runs with its last good settings."),
                format!("No se puede usar cloudy.toml: {lines}. El nodo sigue con sus últimos ajustes buenos."),
                format!("No es pot fer servir cloudy.toml: {lines}. El node continua amb els seus últims ajustos bons."),
            ),
            lang.pick(
                "Mend that line in cloudy.toml on the config partition and restart the node.",
                "Corrija esa línea en cloudy.toml, en la partición config, y reinicie el nodo.",
                "Corregiu aquesta línia a cloudy.toml, a la partició config, i reinicieu el node.",
            ),
        ));
    }
    if !status.settings.unsupported.is_empty() {
        let lines = status.settings.unsupported.join("; ");
        found.push(problem(
            "settings-partly",
            Severity::Note,
            lang.pick(
                format!("Some of what was chosen when the card was written does not apply here: {lines}."),
                format!("Parte de lo elegido al escribir la tarjeta no se aplica aquí: {lines}."),
                format!("Part del que es va triar en escriure la targeta no s'aplica aquí: {lines}."),
            ),
            lang.pick(
                "Nothing has to be done; what this node can set stands in cloudy.toml.example on the card.",
                "No hay que hacer nada; lo que este nodo puede ajustar está en cloudy.toml.example, en la tarjeta.",
                "No cal fer res; el que aquest node pot ajustar és a cloudy.toml.example, a la targeta.",
            ),
        ));
    }
    if status.settings.secrets_moved {
        found.push(problem(
            "secrets-moved",
            Severity::Note,
            lang.pick(
                "Secrets from cloudy.toml were moved to the node and overwritten in the file. A flash card may keep old copies.",
                "Los secretos de cloudy.toml se movieron al nodo y se sobrescribieron en el archivo. Una tarjeta flash puede conservar copias antiguas.",
                "Els secrets de cloudy.toml s'han mogut al node i s'han sobreescrit al fitxer. Una targeta flash pot conservar-ne còpies antigues.",
            ),
            lang.pick(
                "If the card gets into other hands, change the Wi-Fi key and revoke the invite.",
                "Si la tarjeta pasa a otras manos, cambie la clave de la Wi-Fi y revoque la invitación.",
                "Si la targeta passa a altres mans, canvieu la clau de la Wi-Fi i revoqueu la invitació.",
            ),
        ));
    }
}

fn boot(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    let Some(boot) = &status.boot else { return };
    found.extend(boot.data.and_then(|state| of_data(state, lang)));
    if let Some(reason) = &boot.rollback {
        found.push(problem(
            "rolled-back",
            Severity::Warning,
            lang.pick(
                format!("The last update was taken back: {reason}"),
                format!("La última actualización se deshizo: {reason}"),
                format!("L'última actualització s'ha desfet: {reason}"),
            ),
            lang.pick(
                "The node runs the system from before. Wait for the next update, or report the reason.",
                "El nodo usa el sistema anterior. Espere a la próxima actualización o comunique el motivo.",
                "El node fa servir el sistema anterior. Espereu la propera actualització o comuniqueu-ne el motiu.",
            ),
        ));
    }
    for line in &boot.problems {
        found.push(problem(
            "boot",
            Severity::Warning,
            lang.pick(format!("At boot: {line}"), format!("Al arrancar: {line}"), format!("En arrencar: {line}")),
            lang.pick(
                "Restart the node. If it says so again, copy this line into a report.",
                "Reinicie el nodo. Si vuelve a decirlo, copie esta línea en un informe.",
                "Reinicieu el node. Si ho torna a dir, copieu aquesta línia en un informe.",
            ),
        ));
    }
}

fn wifi(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    let Some(wifi) = &status.wifi else { return };
    let name = &wifi.network;
    match wifi.state {
        WifiState::Connected => {}
        WifiState::NotConnected => found.push(problem(
            "wifi-not-connected",
            Severity::Warning,
            lang.pick(
                format!("This node is not connected to the Wi-Fi `{name}`."),
                format!("Este nodo no está conectado a la Wi-Fi `{name}`."),
                format!("Aquest node no està connectat a la Wi-Fi `{name}`."),
            ),
            lang.pick(
                "Look whether that Wi-Fi is in reach, and whether its name, its key and the country in cloudy.toml are right.",
                "Compruebe que esa Wi-Fi está al alcance y que su nombre, su clave y el país en cloudy.toml son correctos.",
                "Comproveu que aquesta Wi-Fi és a l'abast i que el nom, la clau i el país a cloudy.toml són correctes.",
            ),
        )),
        WifiState::NoRadio => found.push(problem(
            "wifi-no-radio",
            Severity::Warning,
            lang.pick(
                format!("The settings name the Wi-Fi `{name}`, and this machine has no radio that is known here."),
                format!("Los ajustes nombran la Wi-Fi `{name}` y esta máquina no tiene una radio conocida aquí."),
                format!("Els ajustos anomenen la Wi-Fi `{name}` i aquesta màquina no té una ràdio coneguda aquí."),
            ),
            lang.pick(
                "Use a cable, or plug in a USB Wi-Fi adapter.",
                "Use un cable o conecte un adaptador Wi-Fi USB.",
                "Feu servir un cable o connecteu un adaptador Wi-Fi USB.",
            ),
        )),
    }
}

/// What data in that state means, if it is not kept: the node then makes no identity and joins nothing (see `kept`).
pub fn of_data(state: DataState, lang: Lang) -> Option<Problem> {
    match state {
        DataState::Lost => Some(problem(
            "data-lost",
            Severity::Error,
            lang.pick(
                "This node's data can't be read. It stays outside of its microcloud, and nothing that is done now is kept.",
                "No se pueden leer los datos de este nodo. Queda fuera de su micronube, y nada de lo que se haga ahora se conserva.",
                "No es poden llegir les dades d'aquest node. Queda fora del seu micronúvol, i res del que es faci ara no es conserva.",
            ),
            lang.pick(
                "Switch the node off and on. If that does not help, put an empty file `repair-data` on the config partition and start it again: files may be lost. If the card or disk is broken, flash a new one and join with a new invite.",
                "Apague y encienda el nodo. Si no basta, ponga un archivo vacío `repair-data` en la partición config y vuelva a encenderlo: puede que se pierdan archivos. Si la tarjeta o el disco está roto, grabe otro y únase con una invitación nueva.",
                "Apagueu i engegueu el node. Si no n'hi ha prou, poseu un fitxer buit `repair-data` a la partició config i torneu a engegar-lo: potser es perdran fitxers. Si la targeta o el disc està espatllat, graveu-ne un altre i uniu-vos-hi amb una invitació nova.",
            ),
        )),
        DataState::ReadOnly => Some(problem(
            "data-read-only",
            Severity::Error,
            lang.pick(
                "This node's data is damaged, so it is only read. The node stays outside of its microcloud, and nothing that is done now is kept.",
                "Los datos de este nodo están dañados y solo se leen. El nodo queda fuera de su micronube, y nada de lo que se haga ahora se conserva.",
                "Les dades d'aquest node estan malmeses i només es llegeixen. El node queda fora del seu micronúvol, i res del que es faci ara no es conserva.",
            ),
            lang.pick(
                "Save what you need from it. Then put an empty file `repair-data` on the config partition and start the node again.",
                "Guarde lo que necesite de él. Después ponga un archivo vacío `repair-data` en la partición config y vuelva a encender el nodo.",
                "Deseu el que en necessiteu. Després poseu un fitxer buit `repair-data` a la partició config i torneu a engegar el node.",
            ),
        )),
        DataState::Clean | DataState::Repaired => None,
    }
}

fn host(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    let host = &status.host;
    let low = |free: u64, total: u64, percent: u64| total > 0 && free.saturating_mul(100) < total.saturating_mul(percent);
    if low(host.storage_available_bytes, host.storage_total_bytes, STORAGE_LOW_PERCENT) {
        found.push(problem(
            "storage-low",
            Severity::Error,
            lang.pick("The storage is nearly full.", "El almacenamiento está casi lleno.", "L'emmagatzematge és gairebé ple."),
            lang.pick(
                "Remove apps or files that are not needed, or use a larger disk.",
                "Quite aplicaciones o archivos que no hagan falta, o use un disco mayor.",
                "Traieu aplicacions o fitxers que no calguin, o feu servir un disc més gran.",
            ),
        ));
    }
    if low(host.memory_available_bytes, host.memory_total_bytes, MEMORY_LOW_PERCENT) {
        found.push(problem(
            "memory-low",
            Severity::Warning,
            lang.pick("Memory is nearly used up.", "La memoria está casi agotada.", "La memòria és gairebé esgotada."),
            lang.pick("Stop an app.", "Detenga alguna aplicación.", "Atureu alguna aplicació."),
        ));
    }
    if let Some(t) = host.temperature_celsius.filter(|t| *t >= HOT_CELSIUS) {
        found.push(problem(
            "hot",
            Severity::Warning,
            lang.pick(
                format!("The machine is {t:.0} °C hot."),
                format!("La máquina está a {t:.0} °C."),
                format!("La màquina és a {t:.0} °C."),
            ),
            lang.pick("Give it air.", "Déjele aire.", "Deixeu-li aire."),
        ));
    }
    if let Some(ahead) = status.clock.ahead_seconds {
        found.push(clock_off(ahead, lang));
    } else if status.clock.unix_seconds < EARLIEST_CLOCK_SECS {
        found.push(problem(
            "clock-wrong",
            Severity::Warning,
            lang.pick("The clock stands in the past.", "El reloj está en el pasado.", "El rellotge està en el passat."),
            lang.pick(
                "Give the node a way to a time server; until then, dates are unsure.",
                "Dé al nodo acceso a un servidor de hora; hasta entonces las fechas no son seguras.",
                "Doneu al node accés a un servidor d'hora; fins aleshores les dates no són segures.",
            ),
        ));
    }
    if status.addresses.is_empty() {
        found.push(problem(
            "no-address",
            Severity::Error,
            lang.pick(
                "This machine has no network address.",
                "Esta máquina no tiene dirección de red.",
                "Aquesta màquina no té adreça de xarxa.",
            ),
            lang.pick(
                "Plug in the network cable, or set Wi-Fi or an address in cloudy.toml.",
                "Conecte el cable de red, o configure la Wi-Fi o una dirección en cloudy.toml.",
                "Connecteu el cable de xarxa, o configureu la Wi-Fi o una adreça a cloudy.toml.",
            ),
        ));
    }
}

/// The clock differs from those of most neighbours.
fn clock_off(ahead: i64, lang: Lang) -> Problem {
    let (seconds, is_ahead) = (ahead.unsigned_abs(), ahead > 0);
    let (count, en, es, ca) = match seconds {
        0..7200 => (seconds / 60, "minutes", "minutos", "minuts"),
        7200..172_800 => (seconds / 3600, "hours", "horas", "hores"),
        _ => (seconds / 86_400, "days", "días", "dies"),
    };
    let way = |ahead, behind| if is_ahead { ahead } else { behind };
    problem(
        "clock-off",
        Severity::Warning,
        lang.pick(
            format!("The clock is {count} {en} {} those of the neighbours.", way("ahead of", "behind")),
            format!("El reloj está {count} {es} {} respecto a los de los vecinos.", way("adelantado", "atrasado")),
            format!("El rellotge va {count} {ca} {} respecte als dels veïns.", way("avançat", "endarrerit")),
        ),
        lang.pick(
            "Give the node a way to a time server, or look whether its battery for the clock is empty. Until then invites with an end and certificates may be refused.",
            "Dé al nodo acceso a un servidor de hora, o mire si la pila del reloj está agotada. Hasta entonces puede que se rechacen invitaciones con plazo y certificados.",
            "Doneu al node accés a un servidor d'hora, o mireu si la pila del rellotge està esgotada. Fins aleshores potser es rebutgen invitacions amb termini i certificats.",
        ),
    )
}

fn services(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    let Services::Known { failed, .. } = &status.services else { return };
    for unit in failed {
        found.push(problem(
            "unit-failed",
            Severity::Error,
            lang.pick(
                format!("The service {unit} has failed."),
                format!("El servicio {unit} ha fallado."),
                format!("El servei {unit} ha fallat."),
            ),
            lang.pick(
                format!("Restart it or the node; `journalctl -u {unit}` says why."),
                format!("Reinícielo, o reinicie el nodo; `journalctl -u {unit}` dice el motivo."),
                format!("Reinicieu-lo, o reinicieu el node; `journalctl -u {unit}` en diu el motiu."),
            ),
        ));
    }
}

fn docker(status: &Status, lang: Lang, found: &mut Vec<Problem>) {
    match &status.docker {
        Docker::Running { .. } => {}
        Docker::Stopped { unit } => found.push(problem(
            DOCKER_STOPPED,
            Severity::Warning,
            lang.pick(
                format!("Docker does not run (its service is {unit}): no app can run."),
                format!("Docker no funciona (su servicio está {unit}): ninguna aplicación puede funcionar."),
                format!("Docker no funciona (el seu servei està {unit}): cap aplicació pot funcionar."),
            ),
            lang.pick(
                "Whoever runs apps here starts it on this page, or with `cloudy unit start docker.service`; else restart the node.",
                "Quien lleva las aplicaciones lo inicia en esta página, o con `cloudy unit start docker.service`; si no, reinicie el nodo.",
                "Qui porta les aplicacions l'engega en aquesta pàgina, o amb `cloudy unit start docker.service`; si no, reinicieu el node.",
            ),
        )),
        Docker::Silent { reason } => found.push(problem(
            DOCKER_SILENT,
            Severity::Warning,
            lang.pick(
                format!("Docker does not answer: {reason}"),
                format!("Docker no responde: {reason}"),
                format!("Docker no respon: {reason}"),
            ),
            lang.pick(
                "Whoever runs apps here restarts it on this page, or with `cloudy unit restart docker.service`; else restart the node.",
                "Quien lleva las aplicaciones lo reinicia en esta página, o con `cloudy unit restart docker.service`; si no, reinicie el nodo.",
                "Qui porta les aplicacions el reinicia en aquesta pàgina, o amb `cloudy unit restart docker.service`; si no, reinicieu el node.",
            ),
        )),
        // Off an image this is how things are; on one, the broker's socket unit shows as failed.
        Docker::NoBroker { reason } if status.build.is_some() => found.push(problem(
            "no-broker",
            Severity::Warning,
            lang.pick(
                format!("Docker's state is unknown: {reason}"),
                format!("El estado de Docker es desconocido: {reason}"),
                format!("L'estat de Docker és desconegut: {reason}"),
            ),
            lang.pick("Restart the node.", "Reinicie el nodo.", "Reinicieu el node."),
        )),
        Docker::NoBroker { .. } => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::status::{Boot, Clock, Host};

    /// A node that is well.
    pub(crate) fn well() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            build: Some("00112233445566778899aabbccddeeff".to_owned()),
            name: "garden".to_owned(),
            node: None,
            pages: vec!["[::]:80".to_owned()],
            addresses: vec!["192.168.1.20".to_owned()],
            clock: Clock { unix_seconds: EARLIEST_CLOCK_SECS + 1, synchronised: Some(true), ahead_seconds: None },
            host: Host {
                uptime_seconds: 90_061,
                cpus: 4,
                cpu_percent: 3.0,
                load: [0.1, 0.1, 0.1],
                memory_total_bytes: 4 << 30,
                memory_available_bytes: 3 << 30,
                storage_total_bytes: 64 << 30,
                storage_available_bytes: 50 << 30,
                temperature_celsius: Some(48.0),
            },
            boot: Some(Boot { slot: Some("a".to_owned()), confirmed: Some(true), ..Boot::default() }),
            wifi: None,
            docker: Docker::Running { version: "26.1.5".to_owned(), containers_running: 1, containers: 2, images: 3 },
            services: Services::Known { system: "running".to_owned(), units: Vec::new(), failed: Vec::new() },
            settings: Default::default(),
            problems: Vec::new(),
        }
    }

    fn ids(status: &Status) -> Vec<String> {
        find(status, &[], Lang::En).into_iter().map(|p| p.id).collect()
    }

    #[test]
    fn a_wifi_that_does_not_work_is_named() {
        let found = |state| {
            let wifi = crate::status::Wifi { network: "Home".to_owned(), state, interface: None, addresses: Vec::new() };
            find(&Status { wifi: Some(wifi), ..well() }, &[], Lang::Es)
                .into_iter()
                .map(|problem| (problem.id, problem.what))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(WifiState::Connected), []);
        assert_eq!(found(WifiState::NotConnected)[0].0, "wifi-not-connected");
        assert!(found(WifiState::NotConnected)[0].1.contains("`Home`"));
        assert_eq!(found(WifiState::NoRadio)[0].0, "wifi-no-radio");
    }

    #[test]
    fn a_node_that_is_well_has_no_problem() {
        assert_eq!(ids(&well()), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named_and_the_worst_comes_first() {
        let mut status = well();
        status.docker = Docker::Stopped { unit: "inactive".to_owned() };
        status.clock.unix_seconds = 5;
        status.host.storage_available_bytes = 1;
        status.settings.broken = vec!["line 3, column 1: unknown key `hostnam`".to_owned()];
        status.boot = Some(Boot { rollback: Some("no page".to_owned()), ..Boot::default() });
        status.services = Services::Known { system: "degraded".to_owned(), units: vec![], failed: vec!["x.service".to_owned()] };
        let found = find(&status, &["No neighbour answers.".to_owned()], Lang::En);
        let ids: Vec<_> = found.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids, ["settings-broken", "storage-low", "unit-failed", "rolled-back", "clock-wrong", "docker-stopped", "network"]);
        assert!(found[0].what.contains("line 3, column 1"));
    }

    #[test]
    fn a_clock_that_differs_from_those_of_neighbours_is_told_with_which_way_and_how_far() {
        let what = |ahead, lang| {
            let mut status = well();
            status.clock.ahead_seconds = ahead;
            find(&status, &[], lang).into_iter().map(|problem| (problem.id, problem.what)).collect::<Vec<_>>()
        };
        assert_eq!(what(None, Lang::En), []);
        for (ahead, lang, said) in [
            (31_536_000, Lang::En, "The clock is 365 days ahead of those of the neighbours."),
            (-31_536_000, Lang::En, "The clock is 365 days behind those of the neighbours."),
            (-600, Lang::Es, "El reloj está 10 minutos atrasado respecto a los de los vecinos."),
            (7200, Lang::Ca, "El rellotge va 2 hores avançat respecte als dels veïns."),
        ] {
            assert_eq!(what(Some(ahead), lang), [("clock-off".to_owned(), said.to_owned())]);
        }
        let mut old = well();
        (old.clock.ahead_seconds, old.clock.unix_seconds) = (Some(-31_536_000), 5);
        assert_eq!(ids(&old), ["clock-off"], "said once");
    }

    #[test]
    fn data_that_is_not_kept_is_the_first_problem_in_every_language() {
        for (state, id) in [(DataState::Lost, "data-lost"), (DataState::ReadOnly, "data-read-only")] {
            let mut status = well();
            status.boot = Some(Boot { data: Some(state), problems: vec!["in init's words".to_owned()], ..Boot::default() });
            assert!(!status.keeps_data());
            assert_eq!(ids(&status), [id, "boot"]);
            let mut words =
                [Lang::En, Lang::Es, Lang::Ca].map(|lang| find(&status, &[], lang).remove(0)).map(|problem| problem.what + &problem.mend);
            assert!(words.iter().all(|words| words.contains("`repair-data`")));
            words.sort();
            assert!(words[0] != words[1] && words[1] != words[2]);
        }
        for state in [DataState::Clean, DataState::Repaired] {
            let mut status = well();
            status.boot = Some(Boot { data: Some(state), ..Boot::default() });
            assert!(status.keeps_data());
            assert_eq!(ids(&status), Vec::<String>::new());
        }
    }

    #[test]
    fn every_language_has_its_own_words() {
        let mut status = well();
        status.addresses.clear();
        let words: Vec<_> = [Lang::En, Lang::Es, Lang::Ca].map(|l| find(&status, &[], l)[0].what.clone()).to_vec();
        assert_ne!(words[0], words[1]);
        assert_ne!(words[1], words[2]);
    }
}
