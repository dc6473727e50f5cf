"How Sphinx builds the pages that build.py has written."
import api

project, copyright, language = api.package, api.settings['copyright'], 'en'
html_title, html_theme, html_favicon = api.package, 'furo', 'favicon.svg'
extensions = ['myst_nb', 'sphinx.ext.mathjax', 'sphinx.ext.linkcode']
linkcode_resolve = api.source_link
html_static_path, html_css_files = ['style.css', 'node_modules/mathjax/es5/tex-svg.js'], ['style.css']
html_copy_source = html_show_sourcelink = html_use_index = html_domain_indices = False

highlight_language, pygments_dark_style = 'text', 'github-dark'
nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'myst'
nb_code_prompt_show, nb_code_prompt_hide = 'Show the code', 'Hide the code'
myst_enable_extensions = ['amsmath', 'dollarmath', 'fieldlist']
myst_heading_anchors = 4
mathjax_path = 'tex-svg.js'
maximum_signature_line_length = 80
toc_object_entries_show_parents = 'hide'
add_module_names = False
