//! Words about apps on somebody else's node.

words! {
    /// Words about apps on somebody else's node.
    Leases, leases {
        leases: "On each other's nodes", "En los nodos de otros", "Als nodes dels altres";
        why: "Neighbours can run apps for each other. Nothing runs here unless an owner of this node agrees, and it is ended by either side at any time.", "Los vecinos pueden ejecutar aplicaciones unos para otros. Aquí no se ejecuta nada sin el acuerdo de un propietario de este nodo, y cualquiera de las dos partes puede terminarlo en cualquier momento.", "Els veïns poden executar aplicacions els uns per als altres. Aquí no s'executa res sense l'acord d'un propietari d'aquest node, i qualsevol de les dues parts ho pot acabar en qualsevol moment.";
        asked: "Somebody asks", "Alguien pregunta", "Algú pregunta";
        here: "For others, on this node", "Para otros, en este nodo", "Per a altres, en aquest node";
        none_here: "This node runs nothing for others.", "Este nodo no ejecuta nada para otros.", "Aquest node no executa res per a altres.";
        elsewhere: "For this node, on others", "Para este nodo, en otros", "Per a aquest node, en altres";
        none_elsewhere: "No other node runs an app for this one. Choose an app in the store to offer it to a neighbour.", "Ningún otro nodo ejecuta una aplicación para este. Elija una aplicación del catálogo para ofrecerla a un vecino.", "Cap altre node no executa una aplicació per a aquest. Trieu una aplicació del catàleg per oferir-la a un veí.";
        of: "of", "de", "de";
        on: "on", "en", "a";
        exclusive: "nobody else runs it meanwhile", "nadie más la ejecuta mientras tanto", "ningú més no l'executa mentrestant";
        it_is_set: "Set by its owner:", "Ajustado por su propietario:", "Ajustat pel seu propietari:";
        replaces: "Your store has another version of this app: that version would be replaced.", "Su catálogo tiene otra versión de esta aplicación: sería sustituida.", "El vostre catàleg té una altra versió d'aquesta aplicació: se substituiria.";
        accept: "Run it here", "Ejecutarla aquí", "Executa-la aquí";
        refuse: "No", "No", "No";
        end_here: "End it", "Terminarlo", "Acaba-ho";
        take_back: "Take it back", "Retirarla", "Retira-la";
        stands_asked: "waits for an owner", "espera a un propietario", "espera un propietari";
        stands_agreed: "agreed, on its way", "acordado, en camino", "acordat, de camí";
        stands_runs: "runs", "en marcha", "en marxa";
        stands_paused: "stands still until its owner's node answers", "parada hasta que responda el nodo de su propietario", "aturada fins que respongui el node del seu propietari";
        stands_ending: "is ending", "está terminando", "s'està acabant";
        stands_over: "over", "terminado", "acabat";
        stands_offered: "offered, no answer yet", "ofrecida, aún sin respuesta", "oferta, encara sense resposta";
        free_in: "seconds until nobody runs it for certain", "segundos hasta que seguro que nadie la ejecute", "segons fins que segur que ningú no l'executi";
        offer: "On a neighbour's node…", "En el nodo de un vecino…", "Al node d'un veí…";
        offer_title: "Offer to a neighbour:", "Ofrecer a un vecino:", "Ofereix a un veí:";
        offer_why: "The other node's owner is asked. The app comes to that node from this one, with these settings. Its data stays there.", "Se pregunta al propietario del otro nodo. La aplicación llega a ese nodo desde este, con estos ajustes. Sus datos se quedan allí.", "Es pregunta al propietari de l'altre node. L'aplicació arriba a aquell node des d'aquest, amb aquests paràmetres. Les seves dades es queden allà.";
        whom: "Which node", "Qué nodo", "Quin node";
        most_room: "the one with the most free memory", "el que tenga más memoria libre", "el que tingui més memòria lliure";
        alone: "Nobody else may run it meanwhile: it stops there when that node can't reach this one", "Nadie más puede ejecutarla mientras tanto: se para allí cuando ese nodo no llega a este", "Ningú més no la pot executar mentrestant: s'hi atura quan aquell node no arriba a aquest";
        note: "Words to its owner", "Unas palabras para su propietario", "Unes paraules per al seu propietari";
        offer_now: "Offer", "Ofrecer", "Ofereix";
        nobody: "There is no other node in the microcloud yet.", "Todavía no hay ningún otro nodo en la micronube.", "Encara no hi ha cap altre node al micronúvol.";
        kept: "Copies that are kept", "Copias que se mantienen", "Còpies que es mantenen";
        kept_why: "When a node with a copy is gone for five minutes, another one is asked. To have fewer, write a smaller number; 0 takes all back.", "Cuando un nodo con una copia falta cinco minutos, se pregunta a otro. Para tener menos, escriba un número menor; 0 las retira todas.", "Quan un node amb una còpia falta cinc minuts, es pregunta a un altre. Per tenir-ne menys, escriviu un nombre menor; 0 les retira totes.";
        kept_of: "of", "de", "de";
        kept_run: "run", "en marcha", "en marxa";
        kept_coming: "on their way", "en camino", "de camí";
        kept_gone: "on nodes that are gone", "en nodos que faltan", "en nodes que falten";
        kept_missing: "more wanted than nodes that could be asked now", "más de las que se pueden pedir ahora a otros nodos", "més de les que ara es poden demanar a altres nodes";
        kept_alone: "nodes said no, or it came to nothing there: they are left alone for a week, or until you save here again", "nodos dijeron que no, o allí no se pudo: no se les pregunta en una semana, o hasta que guarde aquí de nuevo", "nodes van dir que no, o allà no va ser possible: no se'ls pregunta en una setmana, o fins que torneu a desar aquí";
        how_many: "How many copies", "Cuántas copias", "Quantes còpies";
        keep_title: "Or keep copies on several", "O mantener copias en varios", "O mantenir còpies en diversos";
        keep_why: "So many other nodes run it, each with data of its own. Nodes whose apps run here without being asked come first, then those with the most free memory. Their owners are asked; whoever says no is left alone.", "La ejecutan tantos otros nodos, cada uno con datos propios. Primero los nodos cuyas aplicaciones se ejecutan aquí sin preguntar, después los que tienen más memoria libre. Se pregunta a sus propietarios; a quien dice que no se le deja en paz.", "L'executen tants altres nodes, cadascun amb dades pròpies. Primer els nodes les aplicacions dels quals s'executen aquí sense preguntar, després els que tenen més memòria lliure. Es pregunta als seus propietaris; a qui diu que no se'l deixa en pau.";
        keep_now: "Keep so many", "Mantener tantas", "Mantén-ne tantes";
        policy: "Who is asked", "A quién se pregunta", "A qui es pregunta";
        policy_why: "Offers wait for an owner of this node, unless it is said here what becomes of them. Apps of your own other nodes can run without being asked.", "Las ofertas esperan a un propietario de este nodo, salvo que aquí se diga otra cosa. Las aplicaciones de sus otros nodos pueden ejecutarse sin preguntar.", "Les ofertes esperen un propietari d'aquest node, tret que aquí es digui una altra cosa. Les aplicacions dels vostres altres nodes es poden executar sense preguntar.";
        others: "All other nodes", "Todos los demás nodos", "Tots els altres nodes";
        consent_accept: "run here without being asked", "se ejecutan sin preguntar", "s'executen sense preguntar";
        consent_ask: "an owner is asked", "se pregunta a un propietario", "es pregunta a un propietari";
        consent_refuse: "never", "nunca", "mai";
        most: "Apps of others at most", "Aplicaciones de otros como máximo", "Aplicacions d'altres com a màxim";
        save: "Save", "Guardar", "Desa";
        back: "Back", "Volver", "Torna";
    }
}
