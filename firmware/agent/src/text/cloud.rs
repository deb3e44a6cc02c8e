//! Words about the microcloud: joining, founding, letting others in, leaving.

words! {
    /// Words about the microcloud.
    Cloud, cloud {
        microcloud: "Microcloud", "Micronube", "Micronúvol";
        join: "Join the neighbours", "Unirse a los vecinos", "Unir-se als veïns";
        join_why: "Somebody of the microcloud makes an invite on the page of their node and gives it to you. Paste it here.", "Alguien de la micronube crea una invitación en la página de su nodo y se la da. Péguela aquí.", "Algú del micronúvol crea una invitació a la pàgina del seu node i us la dona. Enganxeu-la aquí.";
        invite: "Invite", "Invitación", "Invitació";
        join_now: "Join", "Unirse", "Uneix-t'hi";
        found: "Or begin a new one", "O empezar una nueva", "O començar-ne un de nou";
        found_why: "You are its first member, and invite the others.", "Usted es su primer miembro e invita a los demás.", "En sou el primer membre i convideu els altres.";
        name: "Its name", "Su nombre", "El seu nom";
        found_now: "Begin", "Empezar", "Comença";
        back: "Or come back with a recovery kit", "O volver con un juego de recuperación", "O tornar amb un joc de recuperació";
        back_why: "Where the node that founded a microcloud is lost, this one decides there in its place: whom it lets in and whom it removes.", "Si el nodo que fundó una micronube se perdió, este decide en ella en su lugar: a quién deja entrar y a quién expulsa.", "Si el node que va fundar un micronúvol s'ha perdut, aquest hi decideix en lloc seu: qui deixa entrar i qui n'expulsa.";
        back_kit: "The recovery kit", "El juego de recuperación", "El joc de recuperació";
        back_member: "Where one of its members is, unless it is on this network", "Dónde está uno de sus miembros, si no está en esta red", "On és un dels seus membres, si no és en aquesta xarxa";
        back_now: "Come back", "Volver", "Torna";
        back_place: "Where this node is…", "Dónde está este nodo…", "On és aquest node…";
        back_place_why: "Whoever comes back into this microcloud with its recovery kit from elsewhere gives this there. It is no secret and lets nobody in.", "Quien vuelve a esta micronube desde otra red con el juego de recuperación lo escribe allí. No es un secreto y no deja entrar a nadie.", "Qui torna a aquest micronúvol des d'una altra xarxa amb el joc de recuperació ho escriu allà. No és cap secret i no deixa entrar ningú.";
        kit: "Keep this recovery kit", "Guarde este juego de recuperación", "Deseu aquest joc de recuperació";
        kit_why: "Copy it, print it, and put it where nobody else finds it. Who has it decides who belongs to the microcloud; if all nodes that can invite are lost, it alone brings that back. It is not shown again here.", "Cópielo, imprímalo y guárdelo donde nadie más lo encuentre. Quien lo tiene decide quién pertenece a la micronube; si se pierden todos los nodos que pueden invitar, solo él lo recupera. Aquí no se volverá a mostrar.", "Copieu-lo, imprimiu-lo i deseu-lo on ningú més el trobi. Qui el té decideix qui pertany al micronúvol; si es perden tots els nodes que poden convidar, només ell ho recupera. Aquí no es tornarà a mostrar.";
        invite_made: "Give this invite to your neighbour", "Dé esta invitación a su vecino", "Doneu aquesta invitació al vostre veí";
        invite_how: "They paste it on the page of their node, under Microcloud, or write it into cloudy.toml as `token`. Who has it gets in: send it so that nobody else reads it.", "La pega en la página de su nodo, en Micronube, o la escribe en cloudy.toml como `token`. Quien la tiene entra: envíela de modo que nadie más la lea.", "L'enganxa a la pàgina del seu node, a Micronúvol, o l'escriu a cloudy.toml com a `token`. Qui la té hi entra: envieu-la de manera que ningú més la llegeixi.";
        let_in: "Let others in", "Dejar entrar a otros", "Deixar entrar altres";
        uses: "For how many nodes", "Para cuántos nodos", "Per a quants nodes";
        valid: "Good for so many days", "Vale estos días", "Val aquests dies";
        no_end: "no end", "sin fin", "sense fi";
        make_invite: "Make an invite", "Crear una invitación", "Crear una invitació";
        may_not_invite: "This node can't invite: a node that can makes the invite.", "Este nodo no puede invitar: la invitación la crea uno que puede.", "Aquest node no pot convidar: la invitació la crea un que pot.";
        door: "Open the door", "Abrir la puerta", "Obrir la porta";
        door_why: "While it is open, every node on this network that looks for neighbours comes in without an invite.", "Mientras está abierta, todo nodo de esta red que busque vecinos entra sin invitación.", "Mentre és oberta, tot node d'aquesta xarxa que busqui veïns hi entra sense invitació.";
        door_open: "The door is open.", "La puerta está abierta.", "La porta és oberta.";
        minutes: "For so many minutes", "Durante estos minutos", "Durant aquests minuts";
        open: "Open", "Abrir", "Obre";
        close: "Close the door", "Cerrar la puerta", "Tanca la porta";
        node_name: "This node's name", "El nombre de este nodo", "El nom d'aquest node";
        rename: "Change", "Cambiar", "Canvia";
        leave: "Leave the microcloud…", "Dejar la micronube…", "Deixar el micronúvol…";
        leave_why: "The others forget this node and what it publishes. Its apps and their data stay. To come back it needs a new invite.", "Los demás olvidan este nodo y lo que publica. Sus aplicaciones y sus datos se quedan. Para volver necesita una invitación nueva.", "Els altres obliden aquest node i el que publica. Les seves aplicacions i les seves dades es queden. Per tornar-hi li cal una invitació nova.";
        leave_now: "Leave it", "Dejarla", "Deixa'l";
        this_node: "this node", "este nodo", "aquest node";
        revoke: "Remove from the microcloud…", "Expulsar de la micronube…", "Expulsar del micronúvol…";
        revoke_why: "For a node that was lost or stolen, that is broken, or that does harm. No member talks to it any more, what it published is gone, and the invite on its card lets in nobody else. This can't be taken back: to come in again it needs a new identity and a new invite.", "Para un nodo perdido o robado, roto o dañino. Ningún miembro vuelve a hablar con él, lo que publicaba desaparece y la invitación de su tarjeta ya no deja entrar a nadie. No se puede deshacer: para volver necesita una identidad y una invitación nuevas.", "Per a un node perdut o robat, espatllat o que fa mal. Cap membre no hi torna a parlar, el que publicava desapareix i la invitació de la seva targeta ja no deixa entrar ningú. No es pot desfer: per tornar-hi li calen una identitat i una invitació noves.";
        revoke_now: "Remove this node", "Expulsar este nodo", "Expulsa aquest node";
        replace: "Its card died: give its place to a new node…", "Su tarjeta murió: dar su lugar a un nodo nuevo…", "La seva targeta ha mort: dona el seu lloc a un node nou…";
        replace_why: "The node that is gone is removed for good, and an invite is made for the one that takes its place, under the same name. It starts empty: its apps come from the store, their data from a backup.", "El nodo que ya no está se expulsa para siempre y se crea una invitación para el que ocupa su lugar, con el mismo nombre. Empieza vacío: sus aplicaciones vienen de la tienda; sus datos, de una copia de seguridad.", "El node que ja no hi és s'expulsa per sempre i es crea una invitació per al que ocupa el seu lloc, amb el mateix nom. Comença buit: les seves aplicacions venen de la botiga; les seves dades, d'una còpia de seguretat.";
        replace_now: "Replace it", "Reemplazarlo", "Substitueix-lo";
        replaced: "Removed, and to be replaced", "Expulsado y por reemplazar", "Expulsat i per substituir";
        replaced_how: "Write this into cloudy.toml of the new card, in place of what stands there of these, or paste the token on the new node's page. It is not shown again here, and lets one node in within a week.", "Escriba esto en el cloudy.toml de la tarjeta nueva, en lugar de lo que haya de ello, o pegue el token en la página del nodo nuevo. Aquí no se volverá a mostrar, y deja entrar a un nodo durante una semana.", "Escriviu això al cloudy.toml de la targeta nova, en lloc del que hi hagi d'això, o enganxeu el token a la pàgina del node nou. Aquí no es tornarà a mostrar, i deixa entrar un node durant una setmana.";
        replaced_then: "When it is in: make it an admin if the old one was, install its apps, restore their backups.", "Cuando esté dentro: que administre si el anterior lo hacía, instale sus aplicaciones y restaure sus copias.", "Quan hi sigui: que administri si l'anterior ho feia, instal·leu les seves aplicacions i restaureu-ne les còpies.";
        admin: "admin", "administra", "administra";
        appoint: "Make it an admin too…", "Que administre también…", "Que administri també…";
        appoint_why: "It then lets others in and removes them, as this node does. So the microcloud does not hang on one card: give it to a neighbour whom all trust. It removes no admins and makes none; this node can take it back.", "Entonces deja entrar a otros y los expulsa, como este nodo. Así la micronube no depende de una sola tarjeta: déselo a un vecino en quien todos confíen. No expulsa a quienes administran ni nombra a otros; este nodo se lo puede quitar.", "Aleshores deixa entrar altres i els expulsa, com aquest node. Així el micronúvol no depèn d'una sola targeta: doneu-ho a un veí en qui tothom confiï. No expulsa qui administra ni en nomena d'altres; aquest node l'hi pot prendre.";
        appoint_now: "Make it an admin", "Que administre", "Que administri";
        dismiss: "No longer an admin…", "Que ya no administre…", "Que ja no administri…";
        dismiss_why: "It stays a member and decides nothing any more. Whom it let in stays; its invites let in nobody else. This can't be taken back: to be an admin again it needs a new identity.", "Sigue siendo miembro y ya no decide nada. Se quedan los que dejó entrar; sus invitaciones ya no dejan entrar a nadie. No se puede deshacer: para volver a administrar necesita una identidad nueva.", "Continua sent membre i ja no decideix res. Es queden els que va deixar entrar; les seves invitacions ja no deixen entrar ningú. No es pot desfer: per tornar a administrar li cal una identitat nova.";
        dismiss_undo: "Let the nodes back in that it removed", "Que vuelvan los nodos que expulsó", "Que tornin els nodes que va expulsar";
        dismiss_now: "No longer an admin", "Que ya no administre", "Que ja no administri";
        removed: "Removed", "Expulsados", "Expulsats";
        members: "Members", "Miembros", "Membres";
        seen: "Seen", "Se ha visto", "S'ha vist";
        next_try: "next try in seconds:", "próximo intento en segundos:", "proper intent en segons:";
    }
}
