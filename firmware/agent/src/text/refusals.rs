//! Why something was not done, in the reader's language: each reason that people meet often has a code, which the API says as the type of
//! its problem, and words. What else is refused is said in English, as the API says it.

use super::Lang;

/// Codes, each with its words: English, Spanish, Catalan. `{0}` and `{1}` are what is named there.
macro_rules! codes {
    ($($code:ident $word:literal: $en:literal, $es:literal, $ca:literal;)*) => {
        /// Why something was not done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $en] $code,)* }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// Its word, as programs see it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$code => $word,)* }
            }

            /// Its words, with places for what is named.
            fn words(self, lang: Lang) -> &'static str {
                match self { $(Self::$code => lang.pick($en, $es, $ca),)* }
            }
        }
    };
}

codes! {
    // People.
    WrongLogin "wrong-login": "The name or the password is wrong.", "El nombre o la contraseña no son correctos.", "El nom o la contrasenya no són correctes.";
    TooManyTries "too-many-tries": "Too many wrong tries. Try again in {0} seconds.", "Demasiados intentos fallidos. Vuelva a intentarlo dentro de {0} segundos.", "Massa intents fallits. Torneu-ho a provar d'aquí a {0} segons.";
    PasswordsBusy "passwords-busy": "This node is looking at other passwords. Try again in a moment.", "El nodo está comprobando otras contraseñas. Vuelva a intentarlo enseguida.", "El node està comprovant altres contrasenyes. Torneu-ho a provar de seguida.";
    PasswordLength "password-length": "A password has at least {0} characters.", "Una contraseña tiene al menos {0} caracteres.", "Una contrasenya té com a mínim {0} caràcters.";
    UserName "user-name": "A name has small letters, digits, “-”, “_” and “.”, and begins with a letter.", "Un nombre tiene letras minúsculas, cifras, «-», «_» y «.», y empieza por una letra.", "Un nom té lletres minúscules, xifres, «-», «_» i «.», i comença per una lletra.";
    UserExists "user-exists": "There is a user of that name already.", "Ya hay un usuario con ese nombre.", "Ja hi ha un usuari amb aquest nom.";
    UserUnknown "user-unknown": "There is no user of that name.", "No hay ningún usuario con ese nombre.", "No hi ha cap usuari amb aquest nom.";
    LastOwner "last-owner": "This is the last owner, without whom nobody could decide here. Make another owner first.", "Es el último propietario y sin él nadie podría decidir aquí. Nombre antes a otro.", "És l'últim propietari i sense ell ningú no hi podria decidir. Nomeneu-ne abans un altre.";
    NodeClaimed "node-claimed": "This node has an owner already.", "Este nodo ya tiene propietario.", "Aquest node ja té propietari.";
    ManyUsers "many-users": "There are as many users as can be. Remove one first.", "No caben más usuarios. Quite antes uno.", "No hi caben més usuaris. Traieu-ne abans un.";
    ManyTokens "many-tokens": "There are as many tokens as can be. Revoke one first.", "No caben más claves de programa. Anule antes una.", "No hi caben més claus de programa. Anul·leu-ne abans una.";
    UserChanged "user-changed": "Somebody else has changed this user meanwhile. Look at how it is now.", "Mientras tanto otra persona ha cambiado este usuario. Mire cómo está ahora.", "Mentrestant algú altre ha canviat aquest usuari. Mireu com és ara.";
    TokenUnknown "token-unknown": "There is no such token.", "No existe esa clave de programa.", "No existeix aquesta clau de programa.";
    WrongClaim "wrong-claim": "The claim code is wrong. On the node, “cloudy user claim-code” shows it.", "El código no es correcto. En el nodo lo muestra «cloudy user claim-code».", "El codi no és correcte. Al node el mostra «cloudy user claim-code».";
    // The node.
    NotKept "not-kept": "It can't be written down, so nothing was done. Is the storage full or broken?", "No se puede guardar, así que no se ha hecho nada. ¿Está lleno o estropeado el almacenamiento?", "No es pot desar, així que no s'ha fet res. És ple o espatllat l'emmagatzematge?";
    DataNotKept "data-not-kept": "This node keeps nothing in this run, so nothing was done. The first page says what is wrong with its data.", "Este nodo no guarda nada en este arranque, así que no se ha hecho nada. La primera página dice qué les pasa a sus datos.", "Aquest node no desa res en aquesta arrencada, així que no s'ha fet res. La primera pàgina diu què els passa a les seves dades.";
    NoNetwork "no-network": "The part of this node that talks to others does not run.", "La parte de este nodo que habla con los demás no funciona.", "La part d'aquest node que parla amb els altres no funciona.";
    DiskFull "disk-full": "{0} are needed and {1} are free. Remove what is not needed.", "Hacen falta {0} y quedan {1}. Quite lo que no necesite.", "Calen {0} i en queden {1}. Traieu el que no us calgui.";
    NoPage "no-page": "There is no such page.", "Esa página no existe.", "Aquesta pàgina no existeix.";
    TimeZone "time-zone": "There is no time zone “{0}”.", "No hay ninguna zona horaria «{0}».", "No hi ha cap zona horària «{0}».";
    NoTrial "no-trial": "No change is on trial any more. Look at how the settings are now.", "Ya no hay ningún cambio a prueba. Mire cómo están ahora los ajustes.", "Ja no hi ha cap canvi a prova. Mireu com és ara la configuració.";
    // Apps.
    AppUnknown "app-unknown": "There is no app “{0}” in this node's store.", "No hay ninguna aplicación «{0}» en el catálogo de este nodo.", "No hi ha cap aplicació «{0}» al catàleg d'aquest node.";
    AppNotInstalled "app-not-installed": "The app “{0}” is not installed.", "La aplicación «{0}» no está instalada.", "L'aplicació «{0}» no està instal·lada.";
    AppInstalled "app-installed": "The app “{0}” is installed already.", "La aplicación «{0}» ya está instalada.", "L'aplicació «{0}» ja està instal·lada.";
    AppBusy "app-busy": "Something is being done with “{0}”: the page of jobs shows how far it is. Try again when it is over.", "Se está haciendo algo con «{0}»: la página de trabajos muestra cuánto falta. Vuelva a intentarlo cuando acabe.", "S'està fent alguna cosa amb «{0}»: la pàgina de tasques mostra com va. Torneu-ho a provar quan acabi.";
    AppChanged "app-changed": "Somebody else has changed “{0}” meanwhile. Look at how it is now.", "Mientras tanto otra persona ha cambiado «{0}». Mire cómo está ahora.", "Mentrestant algú altre ha canviat «{0}». Mireu com és ara.";
    AppBarred "app-barred": "The app “{0}” must not start now ({1}).", "La aplicación «{0}» no debe arrancar ahora ({1}).", "L'aplicació «{0}» no s'ha d'engegar ara ({1}).";
    AppName "app-name": "“{0}” is no name for an app: small letters, digits and “-”.", "«{0}» no sirve como nombre de una aplicación: letras minúsculas, cifras y «-».", "«{0}» no serveix com a nom d'una aplicació: lletres minúscules, xifres i «-».";
    NameTaken "name-taken": "The name “{0}” is taken. Choose another.", "El nombre «{0}» está ocupado. Elija otro.", "El nom «{0}» està agafat. Trieu-ne un altre.";
    PortTaken "port-taken": "Port {0} is taken by {1}. Choose another, or leave it empty for the next that is free.", "El puerto {0} lo usa {1}. Elija otro, o déjelo vacío para el siguiente libre.", "El port {0} el fa servir {1}. Trieu-ne un altre, o deixeu-lo buit per al següent que sigui lliure.";
    NoPort "no-port": "No port is free for “{0}”. Choose one.", "No queda ningún puerto libre para «{0}». Elija uno.", "No queda cap port lliure per a «{0}». Trieu-ne un.";
    PortNumber "port-number": "“{0}” is no port: a number from 1 to 65535.", "«{0}» no es un puerto: un número de 1 a 65535.", "«{0}» no és un port: un nombre d'1 a 65535.";
    SettingMissing "setting-missing": "“{0}” must be said.", "Hay que decir «{0}».", "Cal dir «{0}».";
    SettingValue "setting-value": "The app does not take that as “{0}” ({1}).", "La aplicación no admite eso como «{0}» ({1}).", "L'aplicació no admet això com a «{0}» ({1}).";
    SettingUnknown "setting-unknown": "The app has no “{0}”.", "La aplicación no tiene «{0}».", "L'aplicació no té «{0}».";
    NotGranted "not-granted": "The app asks for something that no owner has allowed it ({0}).", "La aplicación pide algo que ningún propietario le ha permitido ({0}).", "L'aplicació demana alguna cosa que cap propietari no li ha permès ({0}).";
    DockerAway "docker-away": "Docker, which runs the apps, did not do it ({0}).", "Docker, que ejecuta las aplicaciones, no lo ha hecho ({0}).", "Docker, que executa les aplicacions, no ho ha fet ({0}).";
    OtherMachine "other-machine": "The app “{0}” was built for other machines.", "La aplicación «{0}» es para otras máquinas.", "L'aplicació «{0}» és per a altres màquines.";
    OwnFull "own-full": "There are as many own apps as can be. Remove one that nobody needs.", "No caben más aplicaciones propias. Quite una que nadie necesite.", "No hi caben més aplicacions pròpies. Traieu-ne una que ningú no necessiti.";
    NoBackupKey "no-backup-key": "There is no key for backups yet. An owner makes one on the page of backups.", "Todavía no hay clave para las copias. Un propietario la crea en la página de copias.", "Encara no hi ha clau per a les còpies. Un propietari la crea a la pàgina de còpies.";
    NoSecretKey "no-secret-key": "This is no secret key: it is one word that begins with AGE-SECRET-KEY-1.", "Eso no es una clave secreta: es una sola palabra que empieza por AGE-SECRET-KEY-1.", "Això no és una clau secreta: és una sola paraula que comença per AGE-SECRET-KEY-1.";
    BackupInTheWay "backup-in-the-way": "The app “{0}” is installed here, and a backup does not replace it. Remove it with its data first.", "La aplicación «{0}» está instalada aquí y una copia no la sustituye. Quítela antes con sus datos.", "L'aplicació «{0}» està instal·lada aquí i una còpia no la substitueix. Traieu-la abans amb les seves dades.";
    DiskNotReady "disk-not-ready": "The disk is not ready.", "El disco no está listo.", "El disc no està a punt.";
    // Files.
    FileNotHere "file-not-here": "This file is not on this node.", "Este archivo no está en este nodo.", "Aquest fitxer no és en aquest node.";
    FileNotWhole "file-not-whole": "This file is still being fetched.", "Este archivo todavía se está trayendo.", "Aquest fitxer encara s'està portant.";
    FileUnknown "file-unknown": "No node of the microcloud holds this file.", "Ningún nodo de la micronube tiene este archivo.", "Cap node del micronúvol no té aquest fitxer.";
    QuotaFull "quota-full": "{0} are needed, and {1} are left for files. Remove some.", "Hacen falta {0} y quedan {1} para archivos. Quite alguno.", "Calen {0} i en queden {1} per a fitxers. Traieu-ne algun.";
    // The microcloud.
    NoCommunity "no-community": "This node belongs to no microcloud. Begin one or join one first.", "Este nodo no pertenece a ninguna micronube. Empiece una o únase antes a una.", "Aquest node no pertany a cap micronúvol. Comenceu-ne un o uniu-vos abans a un.";
    MemberAlready "member-already": "This node belongs to “{0}” already. Leave that first.", "Este nodo ya pertenece a «{0}». Déjela antes.", "Aquest node ja pertany a «{0}». Deixeu-lo abans.";
    NoInvite "no-invite": "This is no invite that is good: it is cut short, expired, or something else. Ask for a new one.", "Esto no es una invitación válida: está cortada, ha caducado o es otra cosa. Pida una nueva.", "Això no és una invitació vàlida: està tallada, ha caducat o és una altra cosa. Demaneu-ne una de nova.";
    MayNotInvite "may-not-invite": "This node can let nobody in. A node that can does it.", "Este nodo no puede dejar entrar a nadie. Lo hace uno que puede.", "Aquest node no pot deixar entrar ningú. Ho fa un que pot.";
    MayNotDecide "may-not-decide": "This node does not decide about that. It is done on the node that founded the microcloud, or on another admin's.", "Este nodo no decide sobre eso. Se hace en el nodo que fundó la micronube o en otro que la administre.", "Aquest node no decideix sobre això. Es fa al node que va fundar el micronúvol o en un altre que l'administri.";
    ClockUnsure "clock-unsure": "This node's clock is unsure, so an invite can have no end. Choose “no end”, or wait until it is set from the network.", "El reloj de este nodo no es seguro, así que una invitación no puede caducar. Elija «sin fin» o espere a que la red lo ponga en hora.", "El rellotge d'aquest node no és segur, així que una invitació no pot caducar. Trieu «sense fi» o espereu que la xarxa el posi en hora.";
    NodeUnknown "node-unknown": "No such node is in the microcloud.", "No hay tal nodo en la micronube.", "No hi ha aquest node al micronúvol.";
    NodeNotReached "node-not-reached": "“{0}” was not reached ({1}). Is it switched on and connected?", "No se ha llegado a «{0}» ({1}). ¿Está encendido y conectado?", "No s'ha arribat a «{0}» ({1}). És engegat i connectat?";
    ServiceStopped "service-stopped": "The service does not run on “{0}”.", "El servicio no funciona en «{0}».", "El servei no funciona a «{0}».";
    ServiceUnknown "service-unknown": "“{0}” does not share that any more.", "«{0}» ya no comparte eso.", "«{0}» ja no comparteix això.";
    ManyTunnels "many-tunnels": "As many services are open through this node as can be. Close one.", "No se pueden abrir más servicios a través de este nodo. Cierre uno.", "No es poden obrir més serveis a través d'aquest node. Tanqueu-ne un.";
    LeaseUnknown "lease-unknown": "There is no such offer any more, or nothing is to be decided of it.", "Esa oferta ya no existe o no hay nada que decidir de ella.", "Aquesta oferta ja no existeix o no hi ha res a decidir-ne.";
}

/// Why something was not done, and what is named there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Why.
    pub code: Code,
    /// What is named in its words.
    pub with: Vec<String>,
}

impl Told {
    /// A reason that names these.
    pub fn new(code: Code, with: &[&dyn std::fmt::Display]) -> Self {
        Self { code, with: with.iter().map(ToString::to_string).collect() }
    }

    /// In the reader's words. What is named is put in as it is: no place in it is filled again.
    pub fn say(&self, lang: Lang) -> String {
        let mut said = String::new();
        let mut rest = self.code.words(lang);
        while let Some((before, (place, after))) = rest.split_once('{').and_then(|(before, more)| Some((before, more.split_once('}')?))) {
            said.push_str(before);
            said.push_str(place.parse().ok().and_then(|at: usize| self.with.get(at)).map_or("…", String::as_str));
            rest = after;
        }
        said + rest
    }
}

impl From<Code> for Told {
    fn from(code: Code) -> Self {
        Self { code, with: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_words_of_its_own_in_all_three_languages_that_name_the_same() {
        let (mut words, mut said) = (BTreeSet::new(), BTreeSet::new());
        assert!(Code::ALL.len() >= 40);
        for code in Code::ALL {
            assert!(words.insert(code.word()), "{code:?}: a word means one thing");
            assert!(code.word().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code:?}");
            let places = |lang| ["{0}", "{1}", "{2}"].map(|place| code.words(lang).matches(place).count());
            for lang in [Lang::En, Lang::Es, Lang::Ca] {
                assert!(said.insert(code.words(lang)), "{code:?} in {lang:?} says what another says");
                assert_eq!(places(lang), places(Lang::En), "{code:?} in {lang:?}");
                assert!(code.words(lang).ends_with(['.', '?']), "{code:?} in {lang:?}");
            }
        }
    }

    #[test]
    fn what_is_named_stands_in_its_place_and_fills_no_other() {
        let taken = Told::new(Code::PortTaken, &[&8080, &"{0}"]);
        assert!(taken.say(Lang::Es).starts_with("El puerto 8080 lo usa {0}."), "{}", taken.say(Lang::Es));
        assert!(Told::from(Code::PortTaken).say(Lang::En).starts_with("Port … is taken"), "what is not named breaks nothing");
        assert_eq!(Told::from(Code::NoPage).say(Lang::Ca), "Aquesta pàgina no existeix.");
    }
}
