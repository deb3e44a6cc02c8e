//! Words of the page of jobs.

use super::Lang;

words! {
    /// Words of the page of jobs.
    Jobs, jobs {
        jobs: "Jobs", "Trabajos", "Tasques";
        all: "All jobs", "Todos los trabajos", "Totes les tasques";
        why: "What is being done with apps on this node, and what was done last. It goes on when this page is closed.", "Lo que se está haciendo con las aplicaciones de este nodo y lo último que se hizo. Sigue aunque cierre esta página.", "El que s'està fent amb les aplicacions d'aquest node i el darrer que s'ha fet. Continua encara que tanqueu aquesta pàgina.";
        none: "Nothing was done with apps yet. Install one, and here you see how far it is, and why when something fails.", "Todavía no se ha hecho nada con las aplicaciones. Instale una y aquí verá cuánto falta y, si algo falla, por qué.", "Encara no s'ha fet res amb les aplicacions. Instal·leu-ne una i aquí veureu com va i, si falla alguna cosa, per què.";
        no_more: "There are no older ones: the last fifty are remembered.", "No hay más antiguos: se recuerdan los últimos cincuenta.", "No n'hi ha de més antigues: es recorden les darreres cinquanta.";
        older: "Older ones", "Más antiguos", "Més antigues";
        newest: "The newest", "Los más nuevos", "Les més noves";
        reload: "Look again", "Mirar de nuevo", "Torna-ho a mirar";
        asked_by: "asked by", "a petición de", "a petició de";
        took: "took", "tardó", "va tardar";
        now: "just now", "ahora mismo", "ara mateix";
        again: "Try again", "Intentarlo de nuevo", "Torna-ho a provar";
        again_form: "Try again…", "Intentarlo de nuevo…", "Torna-ho a provar…";
        app: "The app", "La aplicación", "L'aplicació";
        undone_means: "All is as it was before. Mend what is said above, then try again.", "Todo está como antes. Arregle lo que se dice arriba y vuelva a intentarlo.", "Tot és com abans. Arregleu el que es diu a dalt i torneu-ho a provar.";
        failed_means: "It could not be put back as it was either. What the app keeps is untouched. Look at the app and start it, or try again.", "Tampoco se ha podido dejar como estaba. Lo que guarda la aplicación está intacto. Mire la aplicación y arránquela, o vuelva a intentarlo.", "Tampoc no s'ha pogut deixar com era. El que desa l'aplicació està intacte. Mireu l'aplicació i engegueu-la, o torneu-ho a provar.";
    }
}

impl Lang {
    /// That something was so long ago.
    pub fn ago(self, span: &str) -> String {
        self.pick(format!("{span} ago"), format!("hace {span}"), format!("fa {span}"))
    }
}
