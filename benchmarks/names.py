"""Invented signers in sixteen scripts, as many as wanted and the same ones each time.

Given names are common ones; family names are put together from syllables, so
none is taken from a list of people.  All text is in normal form C, as ours is
after reading.  Of a million names 86 in 100 are different.

    rows = names.signers(1_000_000)          # about 2 s
"""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Signer(NamedTuple):
    """One line of the list; a tuple because a million of them are made."""

    #: From 1, without gaps.
    number: int
    name: str
    city: str
    country: str


class Script(NamedTuple):
    """What names in one script are made of."""

    #: Names in ten thousand.
    share: int
    given: Sequence[str]
    family: Sequence[str]
    cities: Sequence[tuple[str, str]]
    #: Chinese, Japanese and Korean write the family name first, without a space.
    family_first: bool = False


#: Names in ten thousand with an emoji behind them, and of those made to break something.
EMOJI, HOSTILE = 50, 20
#: The chances are drawn for so many names at once; always for all, so that the first thousand
#: of a million are the same as a thousand.
_BATCH = 4096


def signers(count: int, seed: int = 1) -> Iterator[Signer]:
    """Yield ``count`` signers, numbered from 1; the same for the same seed."""
    dice = random.Random(seed)
    chance = dice.random
    scripts = tuple(SCRIPTS.values())
    shares = [script.share for script in scripts]
    for start in range(1, count + 1, _BATCH):
        chosen = dice.choices(scripts, shares, k=_BATCH)
        for number, script in enumerate(chosen[: count + 1 - start], start):
            given, family = script.given, script.family
            first = given[int(chance() * len(given))]
            last = family[int(chance() * len(family))]
            city, country = script.cities[int(chance() * len(script.cities))]
            name = last + first if script.family_first else f"{first} {last}"
            odd = int(chance() * 10_000)
            if odd < EMOJI:
                name = f"{name} {_EMOJI[odd % len(_EMOJI)]}"
            elif odd < EMOJI + HOSTILE:
                name = _HOSTILE[odd % len(_HOSTILE)].replace("@", name)
                # Of some the whole may compose anew, or be longer than a name may be.
                name = unicodedata.normalize("NFC", name)[:255]
            yield Signer(number, name, city, country)


def _joined(*parts: str) -> tuple[str, ...]:
    """Put each syllable of the first list before each of the second, and so on."""
    words = ("".join(found) for found in itertools.product(*(part.split() for part in parts)))
    return tuple(unicodedata.normalize("NFC", word.replace("_", " ")) for word in words)


def _titled(*parts: str) -> tuple[str, ...]:
    return tuple(word.title() for word in _joined(*parts))


def _listed(words: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", word) for word in words.split())


def _cities(country: str, cities: str) -> list[tuple[str, str]]:
    country = unicodedata.normalize("NFC", country)
    return [(city.replace("_", " "), country) for city in _listed(cities)]


_LATIN_GIVEN = """
    Ada Adèle Ágnes Agnieszka Alžběta Ana André Ángel Anaïs Åsa Aurélie Ayşe Barış Beatriz Benoît
    Björn Blerta Bogdan Božena Çağla Camille Carmen Catarina Céline Chidi Chloé Ciarán Clara Dániel
    Dénes Dóra Eilidh Elif Emīls Ema Emre Eszter Eva Fabian Fatoş Félix Femke Fernando Filip
    François Frédéric Gabriela Géza Giulia Gonçalo Greta Guðrún Günther Gülşen Håkon Hannah Hélène
    Henrik Hristina Iñaki Inés Ingrid Irena Ívar İpek Jakub Janis Jérôme Jiří João Jörg José
    Joséphine Júlia Jürgen Kaja Katarzyna Kateřina Kārlis Kerstin Khadija Kübra Laszlo Laura Léa
    Lívia Ljiljana Lotte Lucía Ludvík Łucja Łukasz Maëlle Magdaléna Małgorzata Marek Márta Matěj
    Mária Mehmet Miķelis Mónica Nadège Naïma Nataša Ngozi Niamh Niels Noémie Núria Olof Oğuz Ondřej
    Óscar Özlem Pål Paweł Petr Þóra Renée Réka Rúben Rūta Šárka Şebnem Sébastien Siân Siobhán Słavek
    Søren Stéphanie Sven Šimon Tamás Thérèse Tiago Tomáš Tõnu Ülle Ümit Václav Valérie Vojtěch Wanda
    Wiesława Xavier Yağmur Yves Zdeněk Zoë Zsófia Žaneta Željko
"""
_LATIN_STARTS = """
    al ar ban bel bö bra cal čer chal dal dom dre ebe eld fal fer flo gar gör grö hal har hel hru
    iwa jan jö kal kar kö kra lam lun mal mar mö mur nav nie nor oli öst par pel pře ram rey rou sal
    schö sil šte szy tam tor tré val vin wal wie yıl zam žu
"""
_LATIN_MIDDLES = "a an e el en i is o or ou u ber den ken lan man ri ste va"
_LATIN_ENDS = """
    as ska ski sen sson er feld berg ez es eira ão ault ier eau oğlu han ic ić ová ek ík escu oiu
    ný quist lund dóttir i ini etti ard ens stra
"""
_LATIN_CITIES = [
    *_cities("Deutschland", "Köln München Würzburg Lübeck Halle Görlitz Frankfurt_(Oder)"),
    *_cities("France", "Orléans Besançon Nîmes Saint-Étienne Évry Le_Havre Châlons-en-Champagne"),
    *_cities("Polska", "Łódź Kraków Gdańsk Poznań Rzeszów Bielsko-Biała"),
    *_cities("España", "A_Coruña León Cádiz Málaga San_Sebastián"),
    *_cities("Portugal", "Évora Santarém Setúbal Viana_do_Castelo"),
    *_cities("Türkiye", "İzmir Eskişehir Muğla Diyarbakır Şanlıurfa"),
    *_cities("Česko", "Plzeň České_Budějovice Ústí_nad_Labem Třebíč"),
    *_cities("Magyarország", "Győr Székesfehérvár Pécs Kecskemét"),
    *_cities("Ireland", "Cork Galway Dún_Laoghaire"),
    *_cities("United Kingdom", "Leeds Aberystwyth Stoke-on-Trent"),
    *_cities("Sverige", "Malmö Västerås Norrköping"),
    *_cities("Ísland", "Reykjavík Ísafjörður"),
    *_cities("România", "Iași Târgu_Mureș Brașov"),
]

#: The shares come to ten thousand; Latin without Vietnamese is 86 % of them.
SCRIPTS = {
    "Latin": Script(
        8600,
        _listed(_LATIN_GIVEN),
        _titled(_LATIN_STARTS, _LATIN_MIDDLES, _LATIN_ENDS),
        _LATIN_CITIES,
    ),
    "Cyrillic": Script(
        300,
        _listed(
            "Алла Богдан Валентина Владислав Галина Георги Ђорђе Евгений Єва Жанна Зорица Игорь"
            " Ірина Їжак Катерина Любов Милица Надежда Олена Остап Павло Радослав Светлана Тарас"
            " Улјана Христина Цвета Юлия Ярослав"
        ),
        _titled(
            "бар вер гор дем жур зел кова коно лис мель ост пет ром сав тим хар цвет чер щер яр",
            "а е и о ан ен ов",
            "енко чук ский ева ин ић ов ська ців янов",
        ),
        [
            *_cities("Україна", "Київ Львів Харків Івано-Франківськ"),
            *_cities("България", "София Пловдив Велико_Търново"),
            *_cities("Србија", "Београд Нови_Сад"),
        ],
    ),
    "Greek": Script(
        100,
        _listed("Αγγελική Βασίλης Γιώργος Δήμητρα Ελένη Ζωή Ηλίας Θεοδώρα Ιωάννης Κώστας Μαρία"),
        _titled(
            "αθαν βαρν γαλ δημ καρ λαμ μαν ξεν παπ σταμ τσιρ χαρ",
            "α ο ι αν ιδ",
            "άκης όπουλος ίδης ιάδης ίδου άκου",
        ),
        _cities("Ελλάδα", "Αθήνα Θεσσαλονίκη Ιωάννινα Λάρισα Χανιά"),
    ),
    "Arabic": Script(
        140,
        _listed("أحمد بشرى جميلة حسن خديجة دينا رشيد زينب سمير شيماء طارق عائشة فاطمة كريم ليلى"),
        _joined("ال بن_", "بر حد در رم سل شم عب غن قص نو", "ا و ي", "ني دي ري مي وي"),
        [
            *_cities("مصر", "القاهرة الإسكندرية أسوان"),
            *_cities("المغرب", "الرباط فاس مراكش"),
            *_cities("لبنان", "بيروت طرابلس"),
        ],
    ),
    "Hebrew": Script(
        60,
        _listed("אורית בנימין גילה דניאל הדס זאב חנה טליה יעל כרמל לאה מיכאל נועה שירה"),
        _joined("אבר בר גל דר כר לב מר פר שר", "ו י א", "מן נר ני טל קין"),
        _cities("ישראל", "חיפה ירושלים נתניה"),
    ),
    "Chinese": Script(
        150,
        _joined(
            "安 博 晨 丹 恩 芳 国 海 慧 佳 建 静 俊 兰 丽 明 娜 宁 鹏 琪 清 荣 思 涛 文 晓",
            "伟 英 强 敏 杰 玲 勇 艳 军 霞 辉 梅 飞 萍 龙 莉 凯 红 超 燕",
        ),
        _listed("白 蔡 曹 陈 邓 丁 范 冯 高 郭 韩 何 胡 黄 蒋 梁 刘 罗 吕 马 潘 沈 宋 唐 谢 徐"),
        _cities("中国", "北京 成都 广州 哈尔滨 杭州 昆明 南京 上海 西安"),
        family_first=True,
    ),
    "Japanese": Script(
        120,
        _listed(
            "明子 愛 彩花 一郎 恵 恵美 健太 さくら 翔太 浩 真由美 美咲 優 陽子 ユリ 直樹 七海 葵"
        ),
        _joined(
            "池 石 上 大 小 川 北 黒 桜 島 高 竹 中 西 野 東 藤 松 水 森",
            "井 木 口 沢 瀬 田 谷 塚 野 原",
        ),
        _cities("日本", "東京 大阪 札幌 さいたま 福岡 那覇"),
        family_first=True,
    ),
    "Korean": Script(
        100,
        _joined(
            "가 경 나 동 민 보 상 서 성 소 수 승 영 예 우 유 은 재 정 준 지 진 태 하 현 혜",
            "나 라 림 민 범 빈 석 선 아 연 영 우 원 윤 은 진 철 현 호 희",
        ),
        _listed("강 고 권 김 노 문 박 배 백 서 손 송 신 안 오 유 윤 이 임 장 전 정 조 최 한 황"),
        _cities("대한민국", "서울 부산 대구 인천 제주"),
        family_first=True,
    ),
    "Devanagari": Script(
        100,
        _listed("अनिल आशा ईशान उषा ऋषि कविता गीता चन्द्र ज्योति दीपक निशा प्रिया भारती मीना लक्ष्मी"),
        _joined("अग्र कुल गुप् चौध जोश दे प्र मिश् शर् सिं", "वाल करणी ता री कर साद रा मा ह"),
        [*_cities("भारत", "दिल्ली जयपुर लखनऊ पुणे"), *_cities("नेपाल", "काठमाडौँ पोखरा")],
    ),
    "Thai": Script(
        70,
        _listed("กนกวรรณ กิตติ จันทร์ ชลธิชา ณัฐพล ธิดา นภา ประเสริฐ พิมพ์ มาลี วิชัย ศิริ สมชาย อรุณี"),
        _joined("กาญจน แก้ว จันทร ชัย ทอง ธนา บุญ พงษ์ ศรี สุข", "กุล ดี พร มณี ยา รัตน์ วงศ์ สวัสดิ์"),
        _cities("ประเทศไทย", "กรุงเทพฯ เชียงใหม่ ขอนแก่น ภูเก็ต"),
    ),
    "Georgian": Script(
        30,
        _listed("ანა გიორგი დავით ეკა ლევან მარიამ ნინო სალომე თამარ ზურაბ"),
        _joined("ბარ გელ დოლ კაპ ლომ მაისურ ჩხე წიკლა", "ა ი ო", "შვილი ძე ია ური"),
        _cities("საქართველო", "თბილისი ქუთაისი ბათუმი"),
    ),
    "Armenian": Script(
        30,
        _listed("Աննա Արամ Գայանե Դավիթ Լիլիթ Կարեն Նարինե Սուրեն Տիգրան"),
        _titled("ավ գալ դան հով մար սար տեր", "ա ե ի ո", "կյան նյան սյան րյան"),
        _cities("Հայաստան", "Երևան Գյումրի Վանաձոր"),
    ),
    "Bengali": Script(
        40,
        _listed("অনন্যা আবির ইলা কমল তানিয়া নাসরিন প্রীতি মিতালী রফিক শ্রাবণী সুমন"),
        _joined("আ চৌ দা বি ভৌ মজু মু রা সে হা", "ধুরী মিক লদার শ্বাস খার্জী য়চৌধুরী নগুপ্ত সান"),
        [*_cities("বাংলাদেশ", "ঢাকা চট্টগ্রাম সিলেট"), *_cities("ভারত", "কলকাতা")],
    ),
    "Tamil": Script(
        40,
        _listed("அருண் இளங்கோ கவிதா செல்வி தமிழரசி மணி முருகன் ராதா லட்சுமி வேலு"),
        _joined("அழ இரா கந் குண சுந் நட பழ வே", "கப்பன் சன் சாமி தரம் நாதன் னிவேல் ராஜன்"),
        [*_cities("இந்தியா", "சென்னை மதுரை"), *_cities("இலங்கை", "யாழ்ப்பாணம்")],
    ),
    "Ethiopic": Script(
        20,
        _listed("ሀና ለምለም መስፍን ሰላም ሰናይት አለም አበበ ዮሐንስ ገነት ፀሐይ"),
        _joined("ሀ መ በ ተ አ ወ ገ", "ብ ል ስ ን ር", "ቴ ሳ ደ ጋ ሬ"),
        [*_cities("ኢትዮጵያ", "አዲስ_አበባ ባሕር_ዳር"), *_cities("ኤርትራ", "አሥመራ")],
    ),
    # Latin letters, but with two marks on one; the family name stands first.
    "Vietnamese": Script(
        100,
        _joined("Bùi_ Đặng_ Đỗ_ Hoàng_ Lê_ Ngô_ Nguyễn_ Phạm_ Trần_ Vũ_", "Hữu Minh Thị Văn Xuân"),
        _listed("Ánh Bình Cường Diễm Đức Giang Hạnh Hiếu Khánh Lộc Mỹ Ngọc Phượng Quỳnh Thảo Tuấn"),
        _cities("Việt Nam", "Hà_Nội Huế Đà_Nẵng Cần_Thơ"),
    ),
}

_EMOJI = ["🌻", "❤️", "🙏🏽", "👩‍🌾", "🏳️‍🌈", "🇺🇦", "✊🏿", "🐝"]
#: `@` is the name: markup of each kind, both directions in one, stacked marks, far too long.
_HOSTILE = [
    "<b>@</b><script>alert(1)</script>",
    "*@* #set text(red) $x^2$ \\end{document} `#`",
    "@ & Söhne &lt;info&gt; {{ 7*7 }}",
    "@ שרה 123 فاطمة",
    "(@) 12 אבג [x] 34",
    "Z̴̡͓a̵͚͗l̶̰̈g̷̱̾o̸̩̅ @",
    "e\u0301\u0323\u0302\u0308 q\u0307\u0323 @",
    "@ " * 40,
    "@".join(["Endless"] * 60),
    "W" * 300,
]
