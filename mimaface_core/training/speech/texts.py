"""What the synthetic speakers say: everyday words of many languages, rich in lip sounds, put together at random."""

from __future__ import annotations

import numpy as np

# espeak-ng's language -> words, then syllables from which words that mean nothing are made
WORDS: dict[str, tuple[str, str]] = {
    "en-us": (
        (
            "a the and my we you they people picture maybe before about from with which much shopping fish five leave above move "
            "prove father mother brother baby bubble apple pepper number summer window water away while what where wish watch "
            "teacher chocolate cheap choose school juice usual vision measure pleasure thing think these bath clothes today "
            "tomorrow yesterday yellow green blue purple brown red house mouth out loud boy noise voice food moon book good bird "
            "girl word heart part far law thought more door open home only even happy funny family coffee telephone beautiful"
        ),
        "ba bee bow pa pie poo ma mow mee fa fee foe va vee voo sha shee show cha choo wa wee woe tha ra lee no gay ko",
    ),
    "en": (
        (
            "the a of for by me him us them remember perhaps probably impossible simple example member chamber lamp jump bump "
            "map shop stop step cup club job web rib above of love glove wave save life wife knife laugh enough rough cough photo "
            "fresh brush push bush sugar sure machine special ocean church match catch kitchen picture nature judge age bridge "
            "magic path mouth month south weather leather whether with smooth breathe think thank three through quick queen "
            "question why when wonder wool would world work walk talk short north park dark market bath last after afternoon"
        ),
        "pom bim fum vam shum chab web wop mof biff pev shup chim wum oof abe oap eeb ime ove ash itch",
    ),
    "de": (
        (
            "und ich du wir mein dein bitte danke vielleicht immer aber über unter auf ab bevor Apfel Pfeffer Pferd Topf Kopf "
            "Wasser Wein Wagen Fenster Vogel Fisch Schuh Schule schön waschen Tisch Deutsch Mutter Vater Bruder Schwester Baum "
            "Bäume Blume Bücher Mühe Tür grün blau braun weiß schwarz gelb rot Haus Maus heute morgen gestern Arbeit machen "
            "sprechen lachen singen springen bringen Wohnung Freund fröhlich höflich möglich König müde Sommer Winter Frühling "
            "Herbst Bahnhof Flugzeug Straße Platz Zeit zwei zwölf elf fünf"
        ),
        "ba pe mi fo wu scha tschi pfo bö mü wä fei mau beu pla bre schwi spra",
    ),
    "fr": (
        (
            "je tu nous vous mon ma bonjour merci peut-être beaucoup pomme papa maman frère famille femme fille fleur feu vache "
            "chat chien chaud chanson bouche manger rouge jaune bleu blanc brun vert noir maison montagne bateau beau jamais jour "
            "juin juillet demain aujourd'hui pluie nuit huit oui lune rue vue fumer plume peu deux œuf bœuf cœur sœur pain bon "
            "vin un enfant chambre fenêtre porte pont pied pouvoir vouloir voir boire soif faim fromage poisson poire voiture"
        ),
        "ba pe mi fo vu cha jo bou peu mon fin van choi moi poi",
    ),
    "es": (
        (
            "yo tú nosotros mi bueno gracias por favor siempre también mamá papá hermano familia amigo amor mujer hombre vino agua "
            "fuego flor fruta café chico muchacha noche ocho leche lluvia playa calle campo pueblo puerta ventana mesa silla libro "
            "pluma blanco verde azul rojo amarillo cabeza boca brazo mano pie hablar comer beber vivir pensar viajar mañana ayer "
            "hoy ahora nunca nuevo viejo joven grande pequeño montaña bosque pájaro perro gato vaca abeja trabajo"
        ),
        "ba pe mi fo bu cha che cho bue fue muy bai pla fru",
    ),
    "it": (
        (
            "io tu noi voi mio buono grazie prego sempre forse mamma papà fratello famiglia amico amore bambino bambina acqua vino "
            "fuoco fiore frutta caffè pesce pasce bicicletta cena cielo ciao giorno giallo oggi formaggio gelato scuola sciarpa "
            "uscire lasciare bosco campo piazza porta finestra tavola sedia libro penna bianco verde blu rosso testa bocca braccio "
            "mano piede parlare mangiare bere vivere pensare viaggiare domani ieri adesso mai nuovo vecchio giovane grande piccolo"
        ),
        "ba pe mi fo vu cia cio gio scia sce buo fuo mai poi pla",
    ),
    "pt-br": (
        (
            "eu você nós meu bom obrigado por favor sempre também mãe pai irmão família amigo amor mulher homem vinho água fogo flor "
            "fruta café chave chuva cheio peixe caixa queijo hoje jovem jardim janela porta mesa cadeira livro caneta branco verde "
            "azul vermelho amarelo cabeça boca braço mão pé falar comer beber viver pensar viajar amanhã ontem agora nunca novo "
            "velho grande pequeno montanha floresta pássaro cachorro gato vaca abelha trabalho coração não então põe"
        ),
        "ba pe mi fo vu cha xe jo ão bõe muo fai pla fru",
    ),
    "nl": (
        (
            "ik jij wij mijn goed bedankt alsjeblieft altijd misschien moeder vader broer zus familie vriend liefde vrouw man wijn "
            "water vuur bloem vrucht koffie schip school meisje huis buiten muis deur raam tafel stoel boek pen wit groen blauw rood "
            "geel bruin paars hoofd mond arm hand voet spreken eten drinken leven denken reizen morgen gisteren vandaag nu nooit "
            "nieuw oud jong groot klein berg bos vogel hond kat koe bij werk"
        ),
        "ba pe mi fo wu scha bui mui foe voe wij pau",
    ),
    "pl": (
        (
            "ja ty my mój dobry dziękuję proszę zawsze może mama tata brat siostra rodzina przyjaciel miłość kobieta wino woda ogień "
            "kwiat owoc kawa szkoła szafa czas czapka żaba rzeka życie ciasto dziecko śnieg zima okno drzwi stół krzesło książka "
            "biały zielony niebieski czerwony żółty głowa usta ręka noga mówić jeść pić żyć myśleć podróż jutro wczoraj dziś teraz "
            "nigdy nowy stary młody wielki mały góra las ptak pies kot krowa pszczoła praca"
        ),
        "ba pe mi fo wu sza cze żo bła mie pio fia pla",
    ),
    "ru": (
        (
            "я ты мы мой хороший спасибо пожалуйста всегда может мама папа брат сестра семья друг любовь женщина мужчина вино вода "
            "огонь цветок фрукт кофе школа шапка чай час чашка жизнь живот щека борщ рыба окно дверь стол стул книга перо белый "
            "зелёный синий красный жёлтый голова рот рука нога говорить есть пить жить думать путешествие завтра вчера сегодня "
            "сейчас никогда новый старый молодой большой маленький гора лес птица собака кошка корова пчела работа"
        ),
        "ба пе ми фо ву ша че жу бы мя пю фё вы пла",
    ),
    "cmn-latn-pinyin": (
        (
            "wo3 ni3 ta1 wo3men2 hao3 xie4xie5 qing3 ba4ba5 ma1ma5 ge1ge5 mei4mei5 peng2you3 shui3 huo3 hua1 shui3guo3 cha2 ka1fei1 "
            "xue2xiao4 shu1 bi3 bai2 lv4 lan2 hong2 huang2 tou2 zui3 shou3 jiao3 shuo1 chi1 he1 zhu4 xiang3 lv3xing2 ming2tian1 "
            "zuo2tian1 jin1tian1 xian4zai4 xin1 lao3 da4 xiao3 shan1 feng1 niao3 gou3 mao1 niu2 mi4feng1 gong1zuo4 fang2zi5 men2 "
            "chuang1 zhuo1zi5 yi3zi5 wan3fan4 zao3shang5 pang2bian1 bu4 mei2you3 fei1ji1 qi4che1 bing1 yu3 xue3 wo3fang2"
        ),
        "ba1 pa4 ma3 fa2 po4 mo2 fo2 bu4 mu4 fu4 wu3 sha1 she4 chu1 zhou1 yue4 bei3 fei1 miao4 wang2",
    ),
    "ja": (
        (
            "わたし あなた ぼく いい ありがとう どうぞ いつも たぶん おかあさん おとうさん かぞく ともだち みず ひ はな くだもの コーヒー がっこう "
            "さかな ほん ペン しろ みどり あお あか きいろ あたま くち うで て あし はなす たべる のむ いきる かんがえる りょこう あした きのう きょう "
            "いま あたらしい ふるい わかい おおきい ちいさい やま もり とり いぬ ねこ うし はち しごと まど ふゆ ふね ぶどう パン ピアノ ポスト バナナ "
            "びょうき みょうじ しゃしん ちゃわん じゅうしょ しんぶん さんぽ えんぴつ"
        ),
        "ば ぱ ま ふ わ しゃ ちゅ じょ べ ぴ も ぶ みゅ びょ うえ おい",
    ),
    "ko": (
        (
            "나 너 우리 좋은 감사합니다 부탁 항상 아마 엄마 아빠 형 가족 친구 사랑 물 불 꽃 과일 커피 학교 물고기 책 펜 하얀 초록 파란 빨간 노란 머리 입 "
            "팔 손 발 말하다 먹다 마시다 살다 생각 여행 내일 어제 오늘 지금 새로운 오래된 젊은 큰 작은 산 숲 새 개 고양이 소 벌 일 창문 밥 바람 비 봄 여름 "
            "겨울 무지개 나비 포도 피아노 버스 빵"
        ),
        "바 파 마 버 포 모 부 무 뿌 와 워 위 쇼 초 쥬 비 피 메",
    ),
    "ar": (
        (
            "أَنا أَنْتَ نَحْنُ شُكْرًا مِنْ فَضْلِك دائِمًا رُبَّما أُمّ أَب أَخ عائِلة صَديق حُبّ ماء نار زَهْرة فاكِهة قَهْوة مَدْرَسة سَمَك كِتاب قَلَم أَبْيَض أَخْضَر أَزْرَق "
            "أَحْمَر أَصْفَر رَأْس فَم ذِراع يَد قَدَم يَتَكَلَّم يَأْكُل يَشْرَب يَعيش يُفَكِّر سَفَر غَدًا أَمْس اليَوْم الآن جَديد قَديم شابّ كَبير صَغير جَبَل غابة طَيْر كَلْب "
            "قِطّة بَقَرة نَحْلة عَمَل باب نافِذة شَمْس مَوْز"
        ),
        "با بو بي ما مو مي فا فو في شا شو شي وا وي جا ذا",
    ),
    "hi": (
        (
            "मैं तुम हम मेरा अच्छा धन्यवाद कृपया हमेशा शायद माँ पिता भाई बहन परिवार दोस्त प्यार पानी आग फूल फल चाय कॉफ़ी स्कूल मछली किताब "
            "कलम सफ़ेद हरा नीला लाल पीला सिर मुँह बाँह हाथ पैर बोलना खाना पीना जीना सोचना यात्रा कल आज अब कभी नया पुराना जवान बड़ा छोटा "
            "पहाड़ जंगल पक्षी कुत्ता बिल्ली गाय मधुमक्खी काम खिड़की बर्फ़ बारिश भाषा भोजन विश्वास"
        ),
        "बा पा मा भा फा वा शा चा जू बो पी मे भू",
    ),
    "tr": (
        (
            "ben sen biz benim iyi teşekkürler lütfen her zaman belki anne baba kardeş aile arkadaş aşk su ateş çiçek meyve kahve "
            "çay okul balık kitap kalem beyaz yeşil mavi kırmızı sarı baş ağız kol el ayak konuşmak yemek içmek yaşamak düşünmek "
            "yolculuk yarın dün bugün şimdi asla yeni eski genç büyük küçük dağ orman kuş köpek kedi inek arı iş pencere kapı ev "
            "üzüm gözlük şöyle bütün köprü"
        ),
        "ba pe mi fo vu şa çe cu bö pü mı fö",
    ),
    "sv": (
        (
            "jag du vi min bra tack alltid kanske mamma pappa bror syster familj vän kärlek vatten eld blomma frukt kaffe skola sju "
            "sjö skepp stjärna kjol kyrka fisk bok penna vit grön blå röd gul huvud mun arm hand fot tala äta dricka leva tänka resa "
            "imorgon igår idag nu aldrig ny gammal ung stor liten berg skog fågel hund katt ko bi arbete fönster dörr hus möbel"
        ),
        "ba pe mi fo vu sja tjo bå pö mä fy",
    ),
    "id": (
        (
            "saya kamu kami bagus terima kasih selalu mungkin ibu bapak adik keluarga teman cinta air api bunga buah kopi sekolah "
            "ikan buku pena putih hijau biru merah kuning kepala mulut lengan tangan kaki bicara makan minum hidup pikir jalan besok "
            "kemarin hari sekarang baru tua muda besar kecil gunung hutan burung anjing kucing sapi lebah kerja jendela pintu rumah "
            "payung masyarakat nyamuk cuaca juga video foto"
        ),
        "ba pe mi fo vu ca jo bu pam mung wa wi sya",
    ),
    "fi": (
        (
            "minä sinä me hyvä kiitos aina ehkä äiti isä veli perhe ystävä rakkaus vesi tuli kukka hedelmä kahvi koulu kala kirja "
            "kynä valkoinen vihreä sininen punainen pää suu käsi jalka puhua syödä juoda elää ajatella matka huomenna eilen tänään "
            "nyt uusi vanha nuori suuri pieni vuori metsä lintu koira kissa lehmä mehiläinen työ ikkuna ovi talo yö pöytä köyhä"
        ),
        "pa pe mi vo vu pyö möy vää pui hou",
    ),
    "cs": (
        (
            "já ty my můj dobrý děkuji prosím vždy možná máma táta bratr sestra rodina přítel láska voda oheň květ ovoce káva škola "
            "ryba kniha pero bílý zelený modrý červený žlutý hlava ústa paže ruka noha mluvit jíst pít žít myslet cesta zítra včera "
            "dnes teď nikdy nový starý mladý velký malý hora les pták pes kočka kráva včela práce okno dveře dům řeka čaj žába"
        ),
        "ba pe mi fo vu ša če žu bou měj pů",
    ),
    "ro": (
        (
            "eu tu noi meu bun mulțumesc mereu poate mamă tată frate soră familie prieten iubire apă foc floare fruct cafea școală "
            "pește carte stilou alb verde albastru roșu galben cap gură braț mână picior vorbi mânca bea trăi gândi mâine ieri azi "
            "acum nou vechi tânăr mare mic munte pădure pasăre câine pisică vacă albină muncă fereastră ușă casă ceai joi vineri"
        ),
        "ba pe mi fo vu șa ce ju boa mea pâ",
    ),
    "hu": (
        (
            "én te mi jó köszönöm kérem mindig talán anya apa testvér család barát szerelem víz tűz virág gyümölcs kávé iskola hal "
            "könyv toll fehér zöld kék piros sárga fej száj kar kéz láb beszél eszik iszik él gondol utazás holnap tegnap ma most "
            "soha új öreg fiatal nagy kicsi hegy erdő madár kutya macska tehén méh munka ablak ajtó ház bőr fű süt csók zsír"
        ),
        "ba pe mi fo vu sa cse zsu bő pű mö",
    ),
    "el": (
        (
            "εγώ εσύ εμείς καλό ευχαριστώ παρακαλώ πάντα ίσως μαμά μπαμπάς αδελφός οικογένεια φίλος αγάπη νερό φωτιά λουλούδι φρούτο "
            "καφές σχολείο ψάρι βιβλίο άσπρο πράσινο μπλε κόκκινο κίτρινο κεφάλι στόμα χέρι πόδι μιλώ τρώω πίνω ζω σκέφτομαι ταξίδι "
            "αύριο χθες σήμερα τώρα ποτέ νέο παλιό μεγάλο μικρό βουνό δάσος πουλί σκύλος γάτα αγελάδα δουλειά παράθυρο πόρτα σπίτι"
        ),
        "μπα πε μι φο βου μα πο φι βε",
    ),
    "vi": (
        (
            "tôi bạn chúng tốt cảm ơn luôn có lẽ mẹ bố anh em gia đình tình yêu nước lửa hoa quả cà phê trường cá sách bút trắng xanh "
            "đỏ vàng đầu miệng tay chân nói ăn uống sống nghĩ mai hôm qua bây giờ mới cũ trẻ lớn nhỏ núi rừng chim chó mèo bò ong việc "
            "cửa nhà phở bánh mì vui buồn biển mưa mùa xuân"
        ),
        "ba pho mi vu phi bơ mư va bay",
    ),
    "sw": (
        (
            "mimi wewe sisi nzuri asante tafadhali daima labda mama baba kaka familia rafiki upendo maji moto ua tunda kahawa chai "
            "shule samaki kitabu kalamu nyeupe kijani buluu nyekundu kichwa mdomo mkono mguu sema kula kunywa ishi fikiri safari kesho "
            "jana leo sasa mpya zee kijana kubwa dogo mlima msitu ndege mbwa paka ng'ombe nyuki kazi dirisha mlango nyumba wimbo vazi"
        ),
        "ba pe mi fo vu sha cho mbu wa mpe vya",
    ),
    "uk": (
        (
            "я ти ми мій добрий дякую завжди може мама тато брат сестра родина друг любов вода вогонь квітка кава школа риба книга "
            "білий зелений синій червоний жовтий голова рот рука нога говорити їсти пити жити думати завтра вчора сьогодні зараз "
            "ніколи новий старий молодий великий малий гора ліс птах собака кішка корова бджола праця вікно двері чай шапка жаба"
        ),
        "ба пе мі фо ву ша че жу бю м'я",
    ),
    "da": (
        (
            "jeg du vi min god tak altid måske mor far bror søster familie ven kærlighed vand ild blomst frugt kaffe skole fisk bog "
            "pen hvid grøn blå rød gul hoved mund arm hånd fod tale spise drikke leve tænke rejse morgen går dag nu aldrig ny gammel "
            "ung stor lille bjerg skov fugl hund kat ko bi arbejde vindue dør hus sjov chef"
        ),
        "ba pe mi fo vu sja bå pø mæ fy",
    ),
}  # fmt: skip


def random_sentence(rng: np.random.Generator, language: str) -> str:
    """A sentence of 3 to 13 words, one in five of them meaningless, with a comma now and then and an end mark."""
    words, syllables = (part.split() for part in WORDS[language])
    # tone numbers and scripts without spaces go together just as well
    out = []
    count = int(rng.integers(3, 14))
    for i in range(count):
        if rng.random() < 0.2:
            word = "".join(rng.choice(syllables, rng.integers(1, 4)))
        else:
            word = str(rng.choice(words))
        comma = 2 < i < count - 2 and rng.random() < 0.12
        out.append(word + ("," if comma else ""))
    return " ".join(out) + str(rng.choice([".", ".", ".", "!", "?"]))
