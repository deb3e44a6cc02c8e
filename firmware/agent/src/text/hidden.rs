//! Words about services that are hidden from all, or from oneself.

words! {
    /// Words about services that are hidden from all, or from oneself.
    Hidden, hidden {
        more: "More", "Más", "Més";
        mute: "Don't show me this", "No mostrarme esto", "No m'ho mostris";
        mute_why: "You alone stop seeing it, on this node. Your account lists what you don't see.", "Solo usted deja de verlo, en este nodo. Su cuenta tiene la lista de lo que no ve.", "Només vós deixeu de veure-ho, en aquest node. El vostre compte té la llista del que no veieu.";
        whole: "All services of that node", "Todos los servicios de ese nodo", "Tots els serveis d'aquell node";
        hide: "Hide for all", "Ocultar para todos", "Amaga per a tothom";
        hide_why: "Nobody in the microcloud finds it any more. It goes on running, and its owner sees who hid it, and why.", "Nadie en la micronube lo encuentra ya. Sigue funcionando, y su propietario ve quién lo ocultó y por qué.", "Ningú al micronúvol ja no el troba. Continua funcionant, i el seu propietari veu qui l'ha amagat i per què.";
        reason: "Why (all may read it)", "Por qué (lo pueden leer todos)", "Per què (ho pot llegir tothom)";
        show: "Show to all again", "Volver a mostrar a todos", "Torna-ho a mostrar a tothom";
        show_all: "Show all of that node to all again", "Volver a mostrar a todos lo de ese nodo", "Torna a mostrar a tothom tot el que publica aquell node";
        hidden_by: "Hidden for all by", "Oculto para todos por decisión de", "Amagat per a tothom per decisió de";
        all_hidden: "All services of that node are hidden.", "Todos los servicios de ese nodo están ocultos.", "Tots els serveis d'aquell node estan amagats.";
        yours: "Others don't find it.", "Los demás no lo encuentran.", "Els altres no el troben.";
        only_there: "Only that node shows it again.", "Solo ese nodo puede volver a mostrarlo.", "Només aquell node el pot tornar a mostrar.";
        is_muted: "You chose not to see this:", "Usted eligió no verlo:", "Heu triat no veure-ho:";
        muted: "What you chose not to see", "Lo que eligió no ver", "El que heu triat no veure";
        all_services: "all services", "todos los servicios", "tots els serveis";
        again: "Show again", "Volver a mostrar", "Torna-ho a mostrar";
        show_hidden: "Show what is hidden for all", "Mostrar lo oculto para todos", "Mostra el que està amagat per a tothom";
        usual: "Show the usual list", "Mostrar la lista habitual", "Mostra la llista habitual";
    }
}
