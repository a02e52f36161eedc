"""Names of columns in any shop's table that are taken where none of the usual ones is there.

Such a column stays in the attributes too, as it was before its name was known.
"""
# ruff: noqa: RUF001 - Turkish has a letter that looks like an i

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_NAMES: Final = {
    "sku": "merchant_product_simple_id, seller_product_id, aid, ff_product_id, codice_interno, "
    "kod_wewnętrzny, item_sku, seller_sku, product_sku, variant_sku, product_code_sku, "
    "custom_label_sku, custom_label, custom_sku, merchant_sku, sku_id, shop_sku, sku_code, "
    "sku_number, sku_no, stock_keeping_unit, sku_sygnatura_sprzedającego, رمز_المنتج_sku, "
    "sku管理番号, sku管理编号, id_offer, order_number, artikelnummer_im_shop, product_number, "
    "product_code, article_number, article_no, item_number, item_no, artikelnummer, artikelnr, "
    "artikel_nr, art_nr, bestellnummer, référence, reference, ref, referencia, codice, "
    "codice_articolo, código, codigo, kod, kód, indeks, артикул, код, 商品管理番号, 商品コード, "
    "商品番号, 品番, 货号, 商品编码, 상품코드, merchant_product_id, offer_id, item_id, "
    "product_id, article_id, variant_id, style_code, stock_code, kod_produktu, kód_produktu, "
    "kod_towaru, symbol, číslo_produktu, katalogové_číslo, cikkszám, cod_produs, varenummer, "
    "varenr, tuotenumero, tuotekoodi, stok_kodu, ürün_kodu, κωδικός, supplier_aid, supplier_pid, "
    "mã_sản_phẩm, kode_produk, kodas, prekės_kodas, šifra, šifra_artikla, sifra, код_товару, "
    "артикул_товара, kood, tootekood, preces_kods, vörunúmer, رمز_المنتج, رقم_المنتج, מק_ט, מקט, "
    "商品编号, 商品代码, 상품번호, aw_product_id, item_code, part_number, style_number, "
    "style_no, internal_reference, default_code, td_product_id, source_product_id, identifier, "
    "unique_id, product_identifier, matnr, material_number, materialnummer, object_id, code, "
    "ean, ean13, gtin, upc, barcode, ean_code, mpn, model, model_number, model_no, guid, "
    "identifiant, identificador, identifikator, identyfikator, offer_reference, "
    "product_reference, identificativo",
    "display_name": "description_short, prod_name, item_name, product_title, product_page, "
    "bezeichnung, artikelbezeichnung, produktname, artikelname, titel, produkttitel, nom, "
    "nom_du_produit, libellé, désignation, nombre, nombre_del_producto, título, nome, "
    "nome_prodotto, titolo, naam, productnaam, nazwa, název, názov, név, navn, namn, название, "
    "наименование, назва, 商品名, 品名, 商品名称, 상품명, nazwa_produktu, pavadinimas, naziv, "
    "naziv_artikla, име, nimetus, nosaukums, اسم_المنتج, الاسم, שם, שם_מוצר, název_produktu, "
    "terméknév, varenavn, produktnavn, benämning, produktnamn, nimi, tuotenimi, denumire, "
    "nume_produs, ürün_adı, ürün, nom_produit, nom_de_l_article, nome_do_produto, "
    "nombre_producto, artikelomschrijving, omschrijving, descrizione, nama_produk, tên_sản_phẩm, "
    "όνομα, название_товара, 제품명, article_name, article_title, item_title, variant_name, "
    "maktx, material_description, materialkurztext, أسم_المنتج, 商品標題, tytuł, tytuł_oferty, "
    "product_item_name, title_short, us_title_short, short_label, long_label, termék_név, "
    "nom_de_produit, titre, libellé_court, model, item, description",
    "price": "price_amount, standard_price, regular_price, selling_price, sales_price, "
    "retail_price, list_price, unit_price, start_price, price_vat, price_gross, gross_price, "
    "price_tax_included, price_tax_excluded, preis, verkaufspreis, vk_preis, vk_brutto, "
    "preis_brutto, bruttopreis, endpreis, ladenpreis, vk, prix, prix_ttc, prix_de_vente, precio, "
    "pvp, precio_venta, prezzo, prezzo_vendita, preço, prijs, verkoopprijs, cena, cena_brutto, "
    "price_with_vat, price_with_tax, ár, pris, hinta, fiyat, цена, ціна, 価格, 販売価格, 定価, "
    "价格, 售价, 가격, 판매가, price_inc_vat, price_incl_vat, price_inc_tax, price_incl_tax, "
    "price_including_tax, price_including_vat, price_inc_gst, price_ex_vat, price_excl_vat, "
    "price_excl_tax, price_ex_tax, rrp, msrp, mrp, our_price, base_price, prix_de_vente_ttc, "
    "prix_vente_ttc, prix_public, tarif, precio_de_venta, precio_con_iva, prezzo_di_vendita, "
    "prezzo_ivato, preço_de_venda, cena_sprzedaży, cena_s_dph, eladási_ár, preț, satış_fiyatı, "
    "harga, giá, τιμή, розничная_цена, cena_regularna, preço_normal, precio_normal, běžná_cena, "
    "normalpreis, normalpris, ordinarie_pris, prezzo_di_listino, kaina, cijena, hind, السعر, "
    "سعر_المنتج, מחיר, verð, your_price, trendyol_da_satılacak_fiyat, piyasa_satış_fiyatı, "
    "цена_продажи, цены, bundle_prices_price, normal_price_with_vat, cena_pl, default_price, "
    "current_price, final_price, search_price, store_price, pricing, price_range_v2, netpr, "
    "brutto_vk, vk_preis_brutto, vkp, vkp_brutto, verkaufspreis_brutto, prijs_incl_btw, "
    "prijs_inclusief_btw, precio_iva_incluido, pvp_iva_incluido, prezzo_iva_inclusa, "
    "pris_inkl_moms, pris_ink_moms, cena_z_dph, prices, price_tier1, bruttó_ár, site_price, "
    "price_data, price_incl, price_uah, price_range",
    "currency": "pénznem, para_birimi, monnaie, price_currency, currency_id, currency_iso, "
    "währung, waehrung, waers, devise, moneda, valuta, waluta, měna, валюта",
    "base_colour": "colour_of_product, product_color, ürün_rengi, attribute_color, color_name, "
    "colour_name, colour_group_name, color_group_name, farbe, grundfarbe, couleur, colore, cor, "
    "kleur, färg, farve, farge, väri, kolor, barva, szín, culoare, renk, цвет, колір, spalva, "
    "χρώμα, цвят, boja, värv, krāsa, màu_sắc, màu, اللون, צבע, カラー, 色, 颜色, 색상, "
    "color_map, colour_map, main_color, main_colour, hauptfarbe, primary_color, primary_colour, "
    "color_family, colour_family, color_primary, colour_primary, article_color, attribute_farbe",
    "gender": "target_gender, geschlecht, sexe, sexo, genere, género, gênero, geslacht, kön, "
    "køn, kjønn, płeć, pohlaví, пол, стать, cinsiyet, 性別, 性别, 성별, target_genders, "
    "target_group, zielgruppe, geschlechter, genre, gender_target, attribute_geschlecht, "
    "product_gender",
    "brand": "manufacturer_name, manufacturers, brands, vendor, vendor_name, marke, hersteller, "
    "markenname, marque, fabricant, marca, merk, märke, mærke, marka, producent, značka, "
    "výrobce, márka, бренд, производитель, ブランド, 品牌, 브랜드, varumärke, varemerke, "
    "tillverkare, merkki, üretici, product_manufacturer, изготовитель, الماركة, "
    "العلامة_التجارية, item_manufacturer, бренд_товара, marca_del_producto, gyártó, "
    "brand_id_name, brand_label",
    "link": "url, deep_link, deeplink, product_page_url, merchant_deep_link, aw_deep_link, "
    "buy_url, item_page_url, item_url, offer_url, link_do_oferty, permalink, canonical_url, "
    "product_link_url, produkturl, produktlink, lien, enlace, link_all_offerta, url_produit, "
    "lien_produit, url_prodotto, url_producto, online_store_url, link_prodotto, product_page_link",
    "group_id": "item_group_sku, handle_id, parent_unique_id, parent_uid, main_number, "
    "pair_code, variant_group_code, variation_group_code, variation_group_id, "
    "is_child_of_product_code, matrix_item_parent, vaterartikel, "
    "identifizierungsspalte_vaterartikel, model_kodu, parent, parent_code, parent_product, "
    "master_sku, master_id, variant_group, variant_group_id, style_id, parent_id, product_group, "
    "product_group_id, model_code, style_key, product_reference_key, product_family_sku, "
    "merchant_product_model_id, model_id, variantcode, variant_code",
    "image_uri": "main_image_url, main_image, main_image_link, product_image_url, product_image, "
    "product_images, image_url_import, picture_url, picture, pic_url, photo, photo_url, img, "
    "img_url, imgurl, image_src, large_image, cover_media_url, hosted_image_urls, url_image, "
    "image_location, media, bild, bild_url, bildlink, bildurl, bildname, bilder, foto, fotos, "
    "lien_image, url_de_l_image, imagen, imagen_url, url_imagen, immagine, immagini, imagem, "
    "afbeelding, afbeeldingen, zdjęcie, zdjęcia, obrázek, obrazek, kép, изображение, "
    "изображения, картинка, фото, 画像, 画像url, 商品画像, 图片, 主图, 이미지, image_principale, "
    "photo_principale, imagen_principal, főkép, kuva, resim, resim_url, görsel, gambar, "
    "hình_ảnh, εικόνα, imagens, imágenes, obrazki, obrázky, képek, kuvat, зображення, görseller, "
    "billede, billeder, imagine, imagini, снимка, slika, slike, nuotrauka, pilt, attēls, الصورة, "
    "תמונה, imgs, pictures, gallery, image_list, image_gallery, mime_info, merchant_image_url, "
    "aw_image_url, media_main_image_url, thumbnail, thumbnail_url, 商品画像url, صورة_المنتج, "
    "image_big, image_1920, primary_image, primary_image_url, featured_image, media_content, "
    "media_thumbnail, enclosure, product_thumbnail, product_media, detailed_image, cover_image, "
    "assets, photourl, visuel, 이미지등록, 대표이미지, imagem_principal, kép_link, "
    "link_immagine, image_large, image_medium, url_image_produit, ana_görsel, media_1, "
    "media_asset_image1, imagelink, main_picture",
    "in_stock": "stock_level, current_stock_level, current_stock, stock_qty, inventory, "
    "available, available_quantity, qty_available, bestand, lagerbestand, lager, lagermenge, "
    "verfügbarkeit, verfuegbarkeit, lieferbarkeit, disponibilité, quantité, disponibilidad, "
    "cantidad, existencias, disponibilità, quantità, giacenza, disponibilidade, quantidade, "
    "estoque, voorraad, stan, stan_magazynowy, dostępność, dostupnost, készlet, наличие, "
    "остаток, наявність, 在庫, 在庫数, 库存, 재고, lagersaldo, lagerstatus, antal, varasto, "
    "varastosaldo, stoc, stok, stok_adedi, na_stanie, em_estoque, skladem, vorrätig, en_stock, "
    "in_magazzino, op_voorraad, απόθεμα, διαθεσιμότητα, наличност, zaliha, likutis, laoseis, "
    "krājumi, tồn_kho, المخزون, מלאי, stok_miktarı, الكمية, stock_count, on_hand, qty_on_hand, "
    "quantity_on_hand, inventory_level, is_available, available_stock, free_stock, "
    "quantity_available, qty_in_stock, labst, instock_quantity, stock_amount, corrected_stock, "
    "inventory_count, liczba_sztuk, ürün_stok_adedi, количество, stock_on_hand, 재고수량, "
    "الكمية_المتوفرة, lagerbestand_gesamt, stock_net, raktárkészlet, cantidad_disponible, "
    "quantidade_disponível, inventory_available_qty, ilość, stan_magazynu, stock_level_status, "
    "aantal, hoeveelheid, stocklevel, stock_available",
    "year": "jahr, modelljahr, model_year, année, año, anno, ano, jaar, rok, год, рік, 年",
    "season": "saison, temporada, stagione, estação, seizoen, sezon, sezona, сезон, säsong, "
    "sæson, season_code",
    "article_type": "category_path, category, categories, category_name, category_text, "
    "product_category, product_type, kategorie, kategorien, warengruppe, produktkategorie, "
    "catégorie, catégories, categoría, categorías, categoria, categorie, categorieën, kategoria, "
    "kategorie_produktu, категория, категорія, категории, категорії, categorias, kategoriák, "
    "kategorijos, カテゴリ, カテゴリー, 类目, 分类, 카테고리, kategorier, kategori, kategoriat, "
    "kategória, tuoteryhmä, varegruppe, varugrupp, famille, rayon, famiglia, reparto, familia, "
    "sección, kategoria_produktu, κατηγορία, merchant_category, advertiser_category, category_1, "
    "product_category_1, cat, categ_id, categ_id_complete_name, complete_name, product_types, "
    "hierarchical_categories, product_type_name, article_type_name, type, feed_product_type, "
    "category_tree, primary_category, produktgruppe, category_main, ebay_category_1_name, "
    "supercategories, размещение_на_сайте, تصنيف_المنتج, 상품분류, shop_cat, albero_categorie, "
    "item_category_code, silhouette, main_category, category_text_full",
}
FURTHER_NAMES: Final[Mapping[str, Sequence[str]]] = {
    field: [name.strip() for name in names.split(",")] for field, names in _NAMES.items()
}
REDUCED_PRICES: Final = (
    *("sale_price", "special_price", "now_price", "offer_price", "discount_price", "promo_price"),
    *("discounted_price", "reduced_price", "aktionspreis", "angebotspreis", "sonderpreis"),
    *("prix_promo", "prix_promotionnel", "prix_remisé", "precio_oferta", "precio_rebajado"),
    *("prezzo_scontato", "prezzo_promozionale", "aanbiedingsprijs", "actieprijs", "kampanjpris"),
    *("cena_promocyjna", "akční_cena", "preço_promocional", "セール価格", "促销价"),
)
"""Names of prices that are the price only where a table has no other."""
