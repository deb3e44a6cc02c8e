//! Words of the steps by which a node is set up.

words! {
    /// Words of the steps by which a node is set up.
    Setup, setup {
        step: "Step", "Paso", "Pas";
        of: "of", "de", "de";
        notice: "This node is not set up to the end.", "Este nodo aún no está configurado del todo.", "Aquest node encara no està configurat del tot.";
        go_on_setting_up: "Go on with setting up", "Seguir con la configuración", "Continua amb la configuració";
        dismiss: "Don't ask again", "No preguntar más", "No ho preguntis més";
        go_on: "Go on", "Seguir", "Continua";
        back: "Back", "Volver", "Enrere";
        later: "Leave it for later", "Dejarlo para después", "Deixa-ho per després";
        reload: "Look again", "Mirar de nuevo", "Torna-ho a mirar";
        name_why: "What the others will call it. Letters, digits and hyphens; it can be changed later.", "Cómo lo llamarán los demás. Letras, cifras y guiones; se puede cambiar después.", "Com l'anomenaran els altres. Lletres, xifres i guions; es pot canviar després.";
        cloud_why: "Small computers of neighbours that found each other. Join one, or begin one: one of these is enough.", "Pequeños ordenadores de vecinos que se han encontrado. Únase a una o empiece una: basta con una de estas cosas.", "Petits ordinadors de veïns que s'han trobat. Uniu-vos a un o comenceu-ne un: n'hi ha prou amb una d'aquestes coses.";
        inside: "This node belongs to", "Este nodo pertenece a", "Aquest node pertany a";
        kit_again: "It was shown once. Who logs in to the node with ssh sees it again by this command:", "Se mostró una vez. Quien entra en el nodo por ssh lo ve de nuevo con esta orden:", "Es va mostrar una vegada. Qui entra al node per ssh el torna a veure amb aquesta ordre:";
        kit_kept: "I have kept it where no thief and no fire finds it together with this node", "Lo he guardado donde ni un ladrón ni un incendio lo encuentren junto con este nodo", "L'he desat on ni un lladre ni un incendi el trobin juntament amb aquest node";
        language: "The pages speak English, Spanish and Catalan, as each reader's browser asks for it: there is nothing to choose here.", "Las páginas hablan inglés, español y catalán, según lo pida el navegador de cada persona: aquí no hay nada que elegir.", "Les pàgines parlen anglès, espanyol i català, segons ho demani el navegador de cadascú: aquí no hi ha res a triar.";
        done: "This node is set up", "Este nodo está configurado", "Aquest node està configurat";
        done_why: "Choose an app that your neighbours would like, or give the others of your house users of their own.", "Elija una aplicación que guste a sus vecinos, o dé usuarios propios a los demás de su casa.", "Trieu una aplicació que agradi als vostres veïns, o doneu usuaris propis als altres de casa.";
        left: "Left for later:", "Queda para después:", "Queda per després:";
        finish: "Finish", "Terminar", "Acaba";
    }
}
