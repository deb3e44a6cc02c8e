//! Words about what was made by hand: containers, images and volumes of Docker that belong to no app.

words! {
    /// Words about what was made by hand.
    ByHand, by_hand {
        by_hand: "Made by hand", "Hecho a mano", "Fet a mà";
        why: "Containers, images and volumes that somebody made with Docker on this node, and that belong to no app.", "Contenedores, imágenes y volúmenes que alguien hizo con Docker en este nodo y que no son de ninguna aplicación.", "Contenidors, imatges i volums que algú va fer amb Docker en aquest node i que no són de cap aplicació.";
        containers: "Containers", "Contenedores", "Contenidors";
        images: "Images", "Imágenes", "Imatges";
        volumes: "Volumes", "Volúmenes", "Volums";
        none: "None.", "Ninguno.", "Cap.";
        nameless: "without a name", "sin nombre", "sense nom";
        no_docker: "Docker does not answer on this node now, so nobody can say what was made by hand. The first page says how it is, and lets you start it.", "Docker no responde ahora en este nodo, así que no se puede decir qué se hizo a mano. La primera página dice cómo está y permite arrancarlo.", "Docker no respon ara en aquest node, així que no es pot dir què s'hi va fer a mà. La primera pàgina diu com està i permet engegar-lo.";
        more: "There are more than are shown here.", "Hay más de los que se muestran aquí.", "N'hi ha més dels que es mostren aquí.";
        used_by: "used by", "lo usa", "l'usa";
        unused: "used by nothing", "no lo usa nada", "no l'usa res";
        publishes: "publishes", "publica", "publica";
        keeps: "keeps", "guarda", "desa";
        became: "An app has taken its place; it is kept, stopped:", "Una aplicación ocupa su lugar; se conserva parado:", "Una aplicació n'ocupa el lloc; es conserva aturat:";
        look: "Look, and adopt…", "Mirar y adoptar…", "Mira i adopta…";
        what: "What it would be as an app", "Qué sería como aplicación", "Què seria com a aplicació";
        starts: "Starts", "Arranca", "Engega";
        variables: "Variables (their values are taken over, and not shown)", "Variables (se toman sus valores y no se muestran)", "Variables (se'n prenen els valors i no es mostren)";
        asks: "It asks of the node what an owner must allow first", "Pide al nodo lo que antes debe permitir un dueño", "Demana al node el que abans ha de permetre un propietari";
        differs: "What will be otherwise", "Qué será distinto", "Què serà diferent";
        not: "It can't be adopted, and stays as it is:", "No se puede adoptar y queda como está:", "No es pot adoptar i queda com està:";
        name: "Short name of the app (letters, digits, -)", "Nombre corto de la aplicación (letras, cifras, -)", "Nom curt de l'aplicació (lletres, xifres, -)";
        adopt: "Adopt", "Adoptar", "Adopta";
        adopt_why: "It is stopped, what it keeps is copied, and the app starts in its place. The old container stays, stopped, with all that it kept; if the app does not run, the old one is started again.", "Se para, se copia lo que guarda y la aplicación arranca en su lugar. El contenedor viejo queda, parado, con todo lo que guardaba; si la aplicación no funciona, se vuelve a arrancar el viejo.", "S'atura, es copia el que desa i l'aplicació engega al seu lloc. El contenidor vell queda, aturat, amb tot el que desava; si l'aplicació no funciona, es torna a engegar el vell.";
        adopt_saved: "This app was read from a container that was made by hand. Adopt it: then it comes with what that one keeps.", "Esta aplicación se leyó de un contenedor hecho a mano. Adóptela: así viene con lo que aquel guarda.", "Aquesta aplicació es va llegir d'un contenidor fet a mà. Adopteu-la: així ve amb el que aquell desa.";
        owner_may: "An owner of this node may adopt it.", "Un dueño de este nodo puede adoptarlo.", "Un propietari d'aquest node el pot adoptar.";
        remove_old: "Remove the old container", "Quitar el contenedor viejo", "Treu el contenidor vell";
        remove_old_why: "What it wrote outside of its volumes is in it alone, and goes with it.", "Lo que escribió fuera de sus volúmenes está solo en él y se va con él.", "El que va escriure fora dels seus volums és només en ell i se'n va amb ell.";
        remove: "Remove", "Quitar", "Treu";
        remove_why: "What is removed here is gone: nothing brings it back.", "Lo que se quita aquí desaparece: nada lo recupera.", "El que es treu aquí desapareix: res no ho recupera.";
        job_adopt: "Adopt", "Adoptar", "Adoptar";
    }
}
