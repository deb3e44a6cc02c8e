//! Words about disks.

words! {
    /// Words about disks.
    Storage, storage {
        storage: "Storage", "Almacenamiento", "Emmagatzematge";
        more: "Apps may keep their data on a disk of its own, plugged into this node.", "Las aplicaciones pueden guardar sus datos en un disco aparte, enchufado a este nodo.", "Les aplicacions poden desar les dades en un disc a part, endollat a aquest node.";
        disks: "Disks", "Discos", "Discos";
        why: "A disk that you plug in can hold the data of apps. It is prepared once; that erases all that was on it.", "Un disco que enchufe puede guardar los datos de las aplicaciones. Se prepara una vez, y eso borra todo lo que tenía.", "Un disc que endolleu pot desar les dades de les aplicacions. Es prepara una vegada, i això esborra tot el que hi havia.";
        none: "No disk is plugged in but the node's own.", "No hay ningún disco enchufado aparte del propio nodo.", "No hi ha cap disc endollat a part del del node.";
        system: "This node's system is on", "El sistema de este nodo está en", "El sistema d'aquest node és a";
        serial: "serial number", "número de serie", "número de sèrie";
        room: "free", "libres", "lliures";
        apps: "data of", "datos de", "dades de";
        holds: "holds", "contiene", "conté";
        ready: "ready", "listo", "a punt";
        free: "not prepared", "sin preparar", "sense preparar";
        strange: "prepared by another node", "preparado por otro nodo", "preparat per un altre node";
        coming: "is being looked at", "se está mirando", "s'està mirant";
        ejected: "may be unplugged", "se puede desenchufar", "es pot desendollar";
        ejected_why: "It may be unplugged now. Plug it in again, and its apps run again.", "Ya se puede desenchufar. Al enchufarlo de nuevo, sus aplicaciones vuelven a funcionar.", "Ja es pot desendollar. En tornar-lo a endollar, les seves aplicacions tornen a funcionar.";
        wrong: "can't be used", "no se puede usar", "no es pot fer servir";
        refused: "can't be prepared", "no se puede preparar", "no es pot preparar";
        missing: "A disk is missing", "Falta un disco", "Falta un disc";
        missing_why: "Plug it in again: until then these apps stand still, so that nothing is written elsewhere:", "Enchúfelo de nuevo: hasta entonces estas aplicaciones están paradas, para que no se escriba nada en otra parte:", "Torneu-lo a endollar: fins aleshores aquestes aplicacions estan aturades, perquè no s'escrigui res en un altre lloc:";
        forget: "It is lost for good…", "Se ha perdido para siempre…", "S'ha perdut per sempre…";
        forget_why: "What these apps kept on it counts as lost. Remove them then, and restore them from their backups; without one they start empty. A copy that turns up again is not used by itself.", "Lo que estas aplicaciones guardaban en él se da por perdido. Después elimínelas y restáurelas de sus copias; sin copia empiezan vacías. Si el disco aparece, no se usa por sí solo.", "El que aquestes aplicacions hi desaven es dona per perdut. Després elimineu-les i restaureu-les de les còpies; sense còpia comencen buides. Si el disc apareix, no es fa servir tot sol.";
        forget_now: "Count it as lost", "Darlo por perdido", "Dona'l per perdut";
        prepare: "Prepare it for apps…", "Prepararlo para aplicaciones…", "Preparar-lo per a aplicacions…";
        prepare_why: "Everything on this disk is erased. Nothing brings it back.", "Se borra todo lo que hay en este disco. Nada lo recupera.", "S'esborra tot el que hi ha en aquest disc. Res no ho recupera.";
        call_it: "What shall it be called?", "¿Cómo se llamará?", "Com es dirà?";
        call_so: "Photos", "Fotos", "Fotos";
        erase: "Yes, erase everything on", "Sí, borrar todo lo que hay en", "Sí, esborra tot el que hi ha a";
        prepare_now: "Erase and prepare", "Borrar y preparar", "Esborra i prepara";
        use_it: "Use it here…", "Usarlo aquí…", "Fer-lo servir aquí…";
        use_why: "Nothing on it is erased. What apps of the other node kept there stays.", "No se borra nada. Lo que guardaron las aplicaciones del otro nodo se queda.", "No s'esborra res. El que hi van desar les aplicacions de l'altre node s'hi queda.";
        use_now: "Use this disk", "Usar este disco", "Fes servir aquest disc";
        use_again: "Use it again", "Usarlo de nuevo", "Torna'l a fer servir";
        try_again: "Try again", "Probar otra vez", "Torna-ho a provar";
        repair: "Repair it…", "Repararlo…", "Reparar-lo…";
        repair_why: "The disk is made usable again as well as can be. Some files may be lost.", "El disco se repara lo mejor posible. Se pueden perder algunos archivos.", "El disc es repara tan bé com es pot. Es poden perdre alguns fitxers.";
        repair_now: "Repair now", "Reparar ahora", "Repara ara";
        eject: "Take it away…", "Retirarlo…", "Treure'l…";
        eject_why: "Its apps stop, all is written to it, and then this page says that it may be unplugged.", "Sus aplicaciones se paran, se termina de escribir todo y entonces esta página dice que se puede desenchufar.", "Les seves aplicacions s'aturen, s'acaba d'escriure tot i llavors aquesta pàgina diu que es pot desendollar.";
        eject_now: "Take it away now", "Retirarlo ahora", "Treu-lo ara";
        where_apps: "Where apps keep their data", "Dónde guardan sus datos las aplicaciones", "On desen les dades les aplicacions";
        no_apps: "There is no app here whose data could be moved.", "Aquí no hay ninguna aplicación cuyos datos se puedan mover.", "Aquí no hi ha cap aplicació les dades de la qual es puguin moure.";
        move_why: "An app stands still while its data is moved. Where they were they stay until the copy was read and compared.", "La aplicación se para mientras se mueven sus datos. Se quedan donde estaban hasta que la copia se ha leído y comparado.", "L'aplicació s'atura mentre se'n mouen les dades. Es queden on eren fins que la còpia s'ha llegit i comparat.";
        own_storage: "on the node's own storage", "en el almacenamiento del nodo", "a l'emmagatzematge del node";
        to_own: "Move to the node's own storage", "Mover al almacenamiento del nodo", "Mou a l'emmagatzematge del node";
        to_disk: "Move to", "Mover a", "Mou a";
        at_work: "Something is being done with it:", "Se está haciendo algo con ella:", "S'hi està fent alguna cosa:";
        see_jobs: "see how far it is", "ver cómo va", "mira com va";
        job_move: "Move data", "Mover los datos", "Mou les dades";
    }
}
