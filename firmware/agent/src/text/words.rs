//! Words about the four words by which neighbours let a newcomer in.

words! {
    /// Words about letting a newcomer in by four words.
    FourWords, four_words {
        ask: "Ask a neighbour on this network", "Pedírselo a un vecino de esta red", "Demanar-ho a un veí d'aquesta xarxa";
        ask_why: "This node asks the other one to be let in. Then both pages show the same four words, and both of you say so.", "Este nodo pide al otro que lo deje entrar. Después las dos páginas muestran las mismas cuatro palabras y los dos lo confirman.", "Aquest node demana a l'altre que el deixi entrar. Després les dues pàgines mostren les mateixes quatre paraules i tots dos ho confirmeu.";
        ask_now: "Ask", "Pedirlo", "Demana-ho";
        of: "of the microcloud", "de la micronube", "del micronúvol";
        nobody: "No node that could let this one in is seen on this network. Connect both to the same network and load this page again after some seconds, or use an invite.", "En esta red no se ve ningún nodo que pueda dejar entrar a este. Conecte los dos a la misma red y vuelva a cargar esta página pasados unos segundos, o use una invitación.", "En aquesta xarxa no es veu cap node que pugui deixar entrar aquest. Connecteu tots dos a la mateixa xarxa i torneu a carregar aquesta pàgina al cap d'uns segons, o feu servir una invitació.";
        not_looking: "This node does not look for others on its network (`mdns` in cloudy.toml), so it needs an invite.", "Este nodo no busca otros en su red (`mdns` en cloudy.toml), así que necesita una invitación.", "Aquest node no en busca d'altres a la seva xarxa (`mdns` a cloudy.toml), així que li cal una invitació.";
        asking: "Asking", "Preguntando a", "Demanant-ho a";
        waiting: "The other node has not answered yet.", "El otro nodo aún no ha respondido.", "L'altre node encara no ha respost.";
        trouble: "It does not answer at present, and is asked again. Is it switched on, and on the same network?", "Ahora no responde; se le vuelve a preguntar. ¿Está encendido y en la misma red?", "Ara no respon; se li torna a demanar. És engegat i a la mateixa xarxa?";
        busy: "It has too many questions at present, and is asked again.", "Ahora tiene demasiadas preguntas; se le vuelve a preguntar.", "Ara té massa preguntes; se li torna a demanar.";
        compare: "On the page of the microcloud at the other node the same four words must show, beside this node's name. Compare them with the person who sits there: in the same room, or by a call.", "En la página de la micronube del otro nodo deben verse las mismas cuatro palabras, junto al nombre de este nodo. Compárelas con la persona que está allí: en la misma sala o por teléfono.", "A la pàgina del micronúvol de l'altre node s'hi han de veure les mateixes quatre paraules, al costat del nom d'aquest node. Compareu-les amb la persona que hi ha allà: a la mateixa sala o per telèfon.";
        differ: "If they are not the same, somebody stands between the two nodes: press No.", "Si no son las mismas, alguien está entre los dos nodos: pulse No.", "Si no són les mateixes, hi ha algú entre els dos nodes: premeu No.";
        same: "They are the same", "Son las mismas", "Són les mateixes";
        stop: "No, stop", "No, dejarlo", "No, deixa-ho";
        agreed_here: "You said that they are the same. The person at the other node is to say so too.", "Ha confirmado que son las mismas. Falta la persona del otro nodo.", "Heu confirmat que són les mateixes. Falta la persona de l'altre node.";
        agreed_there: "The person at the other node said that they are the same.", "La persona del otro nodo ha confirmado que son las mismas.", "La persona de l'altre node ha confirmat que són les mateixes.";
        minutes_left: "Minutes left:", "Minutos que quedan:", "Minuts que queden:";
        over: "This node was not let in", "Este nodo no ha entrado", "Aquest node no ha entrat";
        denied: "The person at the other node said no. Talk to them, and ask again in a minute.", "La persona del otro nodo ha dicho que no. Hable con ella y vuelva a pedirlo en un minuto.", "La persona de l'altre node ha dit que no. Parleu-hi i torneu-ho a demanar d'aquí a un minut.";
        late: "Nobody decided in ten minutes. Ask again when somebody sits at the other node's page.", "Nadie ha decidido en diez minutos. Vuelva a pedirlo cuando haya alguien ante la página del otro nodo.", "Ningú no ha decidit en deu minuts. Torneu-ho a demanar quan hi hagi algú davant la pàgina de l'altre node.";
        forgotten: "The other node does not know of it any more: it was restarted, or the time was over. Ask again.", "El otro nodo ya no sabe nada: se ha reiniciado o se acabó el tiempo. Vuelva a pedirlo.", "L'altre node ja no en sap res: s'ha reiniciat o s'ha acabat el temps. Torneu-ho a demanar.";
        others: "That node can let nobody in. Ask one that can:", "Ese nodo no puede dejar entrar a nadie. Pídaselo a uno que pueda:", "Aquell node no pot deixar entrar ningú. Demaneu-ho a un que pugui:";
        others_none: "That node can let nobody in, and knows of none that can. Ask the founders of the microcloud for an invite.", "Ese nodo no puede dejar entrar a nadie y no conoce ninguno que pueda. Pida una invitación a quienes fundaron la micronube.", "Aquell node no pot deixar entrar ningú i no en coneix cap que pugui. Demaneu una invitació a qui va fundar el micronúvol.";
        nonsense: "What the other node answered makes no sense. Update both nodes to the same version; if it happens again, do not trust it, and use an invite.", "Lo que ha respondido el otro nodo no tiene sentido. Actualice los dos nodos a la misma versión; si vuelve a pasar, no se fíe de él y use una invitación.", "El que ha respost l'altre node no té sentit. Actualitzeu tots dos nodes a la mateixa versió; si torna a passar, no us en refieu i feu servir una invitació.";
        removed: "An admin had removed this node from that microcloud. Leave it here with `cloudy leave`, so that this node gets a new identity, and ask again.", "Quien administra expulsó este nodo de esa micronube. Déjela aquí con `cloudy leave`, para que este nodo reciba una identidad nueva, y vuelva a pedirlo.", "Qui administra va expulsar aquest node d'aquell micronúvol. Deixeu-lo aquí amb `cloudy leave`, perquè aquest node rebi una identitat nova, i torneu-ho a demanar.";
        no_community: "That node belongs to no microcloud any more. Ask another.", "Ese nodo ya no pertenece a ninguna micronube. Pídaselo a otro.", "Aquell node ja no pertany a cap micronúvol. Demaneu-ho a un altre.";
        refused: "The other node refused. Ask again, or use an invite.", "El otro nodo se ha negado. Vuelva a pedirlo o use una invitación.", "L'altre node s'hi ha negat. Torneu-ho a demanar o feu servir una invitació.";
        done: "Understood", "Entendido", "Entesos";
        newcomers: "Newcomers that ask to be let in", "Nodos nuevos que piden entrar", "Nodes nous que demanen entrar";
        newcomers_why: "Let one in only if you know whose node it is and the same four words show on its page. Its name proves nothing.", "Deje entrar uno solo si sabe de quién es y en su página se ven las mismas cuatro palabras. Su nombre no demuestra nada.", "Deixeu-ne entrar un només si sabeu de qui és i a la seva pàgina s'hi veuen les mateixes quatre paraules. El seu nom no demostra res.";
        let_in: "They are the same: let it in", "Son las mismas: que entre", "Són les mateixes: que entri";
        no: "No", "No", "No";
        its_person: "The person there said that they are the same.", "La persona de allí ha confirmado que son las mismas.", "La persona d'allà ha confirmat que són les mateixes.";
        admitted: "Let in. It comes once the person there says that the words are the same.", "Puede entrar. Lo hará cuando la persona de allí confirme que las palabras son las mismas.", "Pot entrar. Ho farà quan la persona d'allà confirmi que les paraules són les mateixes.";
        coming: "Let in, and both people agreed: it is coming in.", "Puede entrar y las dos personas lo han confirmado: está entrando.", "Pot entrar i les dues persones ho han confirmat: està entrant.";
        silent: "It does not ask any more: it is switched off, or its person stopped.", "Ya no pregunta: está apagado o su persona lo ha dejado.", "Ja no demana: és apagat o la seva persona ho ha deixat.";
    }
}
