//! Words about backups.

words! {
    /// Words about backups.
    Backups, backups {
        backups: "Backups", "Copias de seguridad", "Còpies de seguretat";
        why: "A backup holds an app with its settings and all that it keeps. It is encrypted: without your key nobody can open it, neither this node nor a neighbour who keeps a copy.", "Una copia contiene una aplicación con sus ajustes y todo lo que guarda. Está cifrada: sin su clave nadie puede abrirla, ni este nodo ni un vecino que tenga una copia.", "Una còpia conté una aplicació amb els seus paràmetres i tot el que desa. Està xifrada: sense la vostra clau ningú no la pot obrir, ni aquest node ni un veí que en tingui una còpia.";
        key: "The key", "La clave", "La clau";
        your_key: "Your key", "Su clave", "La vostra clau";
        no_key: "There is no key yet. Without one no backup can be made.", "Todavía no hay ninguna clave. Sin ella no se puede hacer ninguna copia.", "Encara no hi ha cap clau. Sense clau no es pot fer cap còpia.";
        key_is: "Backups are encrypted for this key:", "Las copias se cifran para esta clave:", "Les còpies es xifren per a aquesta clau:";
        new_key: "Make a key", "Crear una clave", "Crea una clau";
        another_key: "Another key…", "Otra clave…", "Una altra clau…";
        another_why: "Backups that were made before are opened by the key of then alone. Keep both.", "Las copias anteriores solo se abren con la clave de entonces. Guarde las dos.", "Les còpies anteriors només s'obren amb la clau d'aleshores. Deseu totes dues.";
        use_key: "Use a key that I have", "Usar una clave que ya tengo", "Fes servir una clau que ja tinc";
        public_half: "Its public half (age1…)", "Su mitad pública (age1…)", "La seva meitat pública (age1…)";
        use_it: "Use it", "Usarla", "Fes-la servir";
        made: "This is your key. Write it down or print it now: it is shown this once, and this node does not keep it.", "Esta es su clave. Apúntela o imprímala ahora: solo se muestra esta vez y este nodo no la guarda.", "Aquesta és la vostra clau. Apunteu-la o imprimiu-la ara: només es mostra aquesta vegada i aquest node no la desa.";
        made_lost: "Whoever has it can open your backups. Whoever loses it has lost them.", "Quien la tenga puede abrir sus copias. Quien la pierda las habrá perdido.", "Qui la tingui pot obrir les vostres còpies. Qui la perdi les haurà perdudes.";
        owners_key: "An owner of this node makes the key.", "Un propietario de este nodo crea la clave.", "Un propietari d'aquest node crea la clau.";
        none: "There is no backup yet. Make one from an app's page, or bring the file of one by the page of files.", "Todavía no hay ninguna copia. Haga una desde la página de una aplicación o traiga el archivo de una con la página de archivos.", "Encara no hi ha cap còpia. Feu-ne una des de la pàgina d'una aplicació o porteu-ne el fitxer amb la pàgina de fitxers.";
        here: "on this node", "en este nodo", "en aquest node";
        only_here: "given to nobody", "no se da a nadie", "no es dona a ningú";
        held_by: "held by", "guardada en", "desada a";
        save: "Save as a file", "Guardar como archivo", "Desa com a fitxer";
        fetch: "Fetch", "Traer", "Porta-la";
        restore: "Restore…", "Restaurar…", "Restaura…";
        restore_now: "Restore", "Restaurar", "Restaura";
        restore_why: "The app is installed with what the backup holds. It replaces nothing: an app of that name must not be here.", "La aplicación se instala con lo que contiene la copia. No sustituye nada: aquí no debe haber una aplicación con ese nombre.", "L'aplicació s'instal·la amb el que conté la còpia. No substitueix res: aquí no hi ha d'haver cap aplicació amb aquest nom.";
        secret: "Your key (AGE-SECRET-KEY-1…)", "Su clave (AGE-SECRET-KEY-1…)", "La vostra clau (AGE-SECRET-KEY-1…)";
        back_up: "Back up", "Copia de seguridad", "Còpia de seguretat";
        back_up_why: "The app stands still while its data is copied.", "La aplicación se para mientras se copian sus datos.", "L'aplicació s'atura mentre se'n copien les dades.";
        back_up_now: "Make a backup now", "Hacer una copia ahora", "Fes una còpia ara";
        shared: "Neighbours may keep copies, which they can't read", "Los vecinos pueden guardar copias, que no pueden leer", "Els veïns en poden desar còpies, que no poden llegir";
        all: "All backups", "Todas las copias", "Totes les còpies";
        job_backup: "Back up", "Copia de seguridad", "Còpia de seguretat";
        job_restore: "Restore", "Restaurar", "Restaurar";
    }
}
